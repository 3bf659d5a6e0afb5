// gRPC's own implementation for Node on both sides: the service in a sandbox, its client here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { Sandbox } from '@e2b/code-interpreter';
import { Echo } from './grpc-echo.mjs';
import { eventually, templateId } from './support.mjs';

const PORT = 50051;
// What @grpc/grpc-js needs to run.
const MODULES = ['@grpc', '@js-sdsl', '@protobufjs', 'lodash.camelcase', 'long', 'protobufjs'];
// gRPC does not look at what this variable adds for the rest of Node.
const authority = process.env.NODE_EXTRA_CA_CERTS;
const credentials = grpc.credentials.createSsl(authority ? await readFile(authority) : null);
const Client = grpc.makeGenericClientConstructor(Echo, 'Echo');

describe('gRPC to a port of a sandbox', () => {
  let sandbox;
  let client;
  let call;

  before(async () => {
    sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 });
    const modules = execFileSync('tar', ['-C', fileURLToPath(new URL('node_modules', import.meta.url)), '-cz', ...MODULES],
      { maxBuffer: 64 << 20 });
    await sandbox.files.write([
      { path: '/home/user/modules.tgz', data: new Blob([modules]) },
      { path: '/home/user/grpc-echo.mjs', data: await readFile(new URL('grpc-echo.mjs', import.meta.url), 'utf8') },
    ]);
    await sandbox.commands.run('mkdir node_modules && tar -xzf modules.tgz -C node_modules', { timeoutMs: 120_000 });
    await sandbox.commands.run(`exec node grpc-echo.mjs ${PORT} > grpc.log 2>&1`, { background: true, timeoutMs: 0 });
    client = new Client(sandbox.getHost(PORT), credentials);
    call = (name, ...rest) => promisify(client[name]).call(client, ...rest);
    await eventually(() => call('unary', Buffer.from('there?')).then(() => true, () => false), 'the service answers', 120_000);
  });

  after(async () => {
    client?.close();
    await sandbox?.kill();
  });

  test('has messages, metadata and trailers both ways', async () => {
    const metadata = new grpc.Metadata();
    metadata.set('x-name', 'somebody');
    let head;
    let status;
    const message = await new Promise((resolve, reject) => {
      const unary = client.unary(Buffer.from('hello'), metadata, (error, answer) => (error ? reject(error) : resolve(answer)));
      unary.on('metadata', (received) => { head = received; });
      unary.on('status', (received) => { status = received; });
    });
    assert.equal(message.toString(), 'hello');
    assert.deepEqual(head.get('x-peer'), ['somebody']);
    await eventually(() => status, 'the status comes');
    assert.equal(status.code, grpc.status.OK);
    assert.deepEqual(status.metadata.get('x-bytes-bin'), [Buffer.from([0, 255, 5])]);
  });

  test('gives empty and large messages, many at once over one connection', async () => {
    assert.equal((await call('unary', Buffer.alloc(0))).length, 0);
    const large = randomBytes(3 << 20);
    assert.ok(large.equals(await call('unary', large)));
    const sent = Array.from({ length: 20 }, (_, i) => Buffer.alloc(1000 * i, i));
    const answers = await Promise.all(sent.map((message) => call('unary', message)));
    answers.forEach((answer, i) => assert.ok(answer.equals(sent[i]), `message ${i}`));
  });

  test('tells a refusal with its status, text and metadata', async () => {
    await assert.rejects(call('refuse', Buffer.alloc(0)), (error) => {
      assert.equal(error.code, grpc.status.FAILED_PRECONDITION);
      assert.equal(error.details, 'no: ünfit, 100 %');
      assert.deepEqual(error.metadata.get('x-why'), ['because']);
      return true;
    });
    const missing = grpc.makeGenericClientConstructor({ none: { ...Echo.unary, path: '/cube.Echo/None' } }, 'None');
    const other = new missing(sandbox.getHost(PORT), credentials);
    try {
      await assert.rejects(promisify(other.none).call(other, Buffer.alloc(0)), { code: grpc.status.UNIMPLEMENTED });
    } finally {
      other.close();
    }
  });

  test('streams answers as they come, until one side has enough', async () => {
    const numbers = [];
    for await (const number of client.count(Buffer.from('5'))) numbers.push(Number(number));
    assert.deepEqual(numbers, [0, 1, 2, 3, 4]);

    const before = Number(await call('cancelled', Buffer.alloc(0)));
    const endless = client.count(Buffer.from('0'));
    await assert.rejects(async () => {
      for await (const number of endless) if (Number(number) === 3) endless.cancel();
    }, { code: grpc.status.CANCELLED });
    await eventually(async () => Number(await call('cancelled', Buffer.alloc(0))) === before + 1, 'the service hears of it');

    await assert.rejects(async () => {
      for await (const _ of client.count(Buffer.from('0'), { deadline: Date.now() + 1000 }));
    }, { code: grpc.status.DEADLINE_EXCEEDED });
  });

  test('takes streams, and talks in turns', async () => {
    const parts = Array.from({ length: 40 }, () => randomBytes(50_000));
    const joined = await new Promise((resolve, reject) => {
      const join = client.join((error, answer) => (error ? reject(error) : resolve(answer)));
      parts.forEach((part) => join.write(part));
      join.end();
    });
    assert.ok(joined.equals(Buffer.concat(parts)));

    const chat = client.chat();
    const answers = chat[Symbol.asyncIterator]();
    for (const word of ['one', 'two', 'three']) {
      chat.write(Buffer.from(word));
      assert.equal((await answers.next()).value.toString(), `you said ${word}`);
    }
    chat.end();
    assert.ok((await answers.next()).done);
  });

  test('on which nothing listens is unavailable', async () => {
    const nobody = new Client(sandbox.getHost(PORT + 1), credentials);
    try {
      await assert.rejects(promisify(nobody.unary).call(nobody, Buffer.alloc(0)), { code: grpc.status.UNAVAILABLE });
    } finally {
      nobody.close();
    }
  });
});
