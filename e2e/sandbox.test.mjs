import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { NotFoundError, Sandbox as PlainSandbox, SandboxError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, listAll, serverFile, templateId, withSandboxes } from './support.mjs';

describe('a sandbox', () => {
  test('is created, described and killed', () => withSandboxes(1, async (sandbox) => {
    assert.equal(await sandbox.isRunning(), true);
    const info = await sandbox.getInfo();
    assert.equal(info.sandboxId, sandbox.sandboxId);
    assert.equal(info.templateId, templateId);
    assert.equal(info.state, 'running');
    assert.equal(info.cpuCount, 2);
    assert.equal(info.memoryMB, 2048);
    assert.ok(info.endAt > info.startedAt);

    assert.equal(await sandbox.kill(), true);
    assert.equal(await sandbox.isRunning(), false);
    assert.equal(await Sandbox.kill(sandbox.sandboxId), false);
    await assert.rejects(Sandbox.getInfo(sandbox.sandboxId), NotFoundError);
    await assert.rejects(Sandbox.connect(sandbox.sandboxId), NotFoundError);
  }));

  test('comes from the templates that the clients ask for by themselves', async () => {
    const interpreter = await Sandbox.create({ timeoutMs: 60_000 });
    const plain = await PlainSandbox.create({ timeoutMs: 60_000 });
    try {
      assert.equal((await interpreter.getInfo()).templateId, templateId);
      assert.equal((await plain.getInfo()).templateId, templateId);
    } finally {
      await Promise.all([interpreter.kill(), plain.kill()]);
    }
  });

  test('is refused for an unknown template', async () => {
    await assert.rejects(Sandbox.create('no-such-template'), (error) => {
      assert.ok(error instanceof SandboxError);
      assert.match(error.message, /404/);
      assert.match(error.message, /no-such-template/);
      return true;
    });
  });

  test('is refused to a malformed request, with the field named', async () => {
    const post = (body) => fetch(`${process.env.E2B_API_URL}/sandboxes`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': process.env.E2B_API_KEY },
      body,
    });
    for (const [body, field] of [
      ['{"templateID":', ''],
      ['{"templateID":7.5e300}', 'templateID'],
      [JSON.stringify({ templateID: templateId, timeout: 'soon' }), 'timeout'],
      [JSON.stringify({ templateID: templateId, timeout: -1 }), 'timeout'],
      [JSON.stringify({ timeout: 10 }), 'templateID'],
      [JSON.stringify({ templateID: templateId, metadata: [1] }), 'metadata'],
    ]) {
      const response = await post(body);
      const { code, message } = await response.json();
      assert.equal(response.status, 400, body);
      assert.equal(code, 400);
      assert.ok(message.includes(field), `${body}: ${message}`);
    }
  });

  test('is found by its metadata', async () => {
    const run = randomUUID();
    await withSandboxes(3, async (...sandboxes) => {
      const found = await listAll({ query: { metadata: { run, 'odd name & value': 'a=b c/é' } }, limit: 2 });
      assert.deepEqual(new Set(found.map((info) => info.sandboxId)), new Set(sandboxes.map((s) => s.sandboxId)));
      assert.equal(found[0].metadata.run, run);
      assert.equal(found[0].metadata['odd name & value'], 'a=b c/é');
      assert.deepEqual(await listAll({ query: { metadata: { run: randomUUID() } } }), []);
      assert.deepEqual(await listAll({ query: { metadata: { run }, state: ['paused'] } }), []);
      assert.equal((await listAll({ query: { metadata: { run }, state: ['running'] } })).length, 3);
    }, { metadata: { run, 'odd name & value': 'a=b c/é' } });
  });

  test('ends with its timeout', () => withSandboxes(1, async (sandbox) => {
    const before = (await sandbox.getInfo()).endAt;
    await sandbox.setTimeout(600_000);
    assert.ok((await sandbox.getInfo()).endAt > before);
    await sandbox.setTimeout(1_000);
    await eventually(async () => !(await sandbox.isRunning()), 'the sandbox ends');
    await assert.rejects(Sandbox.getInfo(sandbox.sandboxId), NotFoundError);
  }));

  test('is used by a second client that only knows its ID', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/note', 'left by the first');
    const second = await Sandbox.connect(sandbox.sandboxId);
    assert.equal(await second.files.read('/home/user/note'), 'left by the first');
    assert.equal((await second.runCode('40 + 2')).text, '42');
  }));

  test('gives its environment to commands and code', () => withSandboxes(1, async (sandbox) => {
    assert.equal((await sandbox.commands.run('echo $GREETING')).stdout, 'hello\n');
    assert.equal((await sandbox.runCode('import os; os.environ["GREETING"]')).text, 'hello');
    assert.equal((await sandbox.commands.run('echo $GREETING', { envs: { GREETING: 'hi' } })).stdout, 'hi\n');
  }, { envs: { GREETING: 'hello' } }));

  test('is kept from those who do not have its token', () => withSandboxes(1, async (sandbox) => {
    const response = await fetch(`https://${sandbox.getHost(49983)}/files?path=/etc/passwd`);
    assert.ok([401, 403].includes(response.status), `status ${response.status}`);
  }, { secure: true }));

  test('is reached by headers on one URL as well as by its own host name', async (t) => {
    const server = await serverFile();
    if (!server?.proxyUrl) return t.skip('the URL is in the state directory of a server on this machine');
    await withSandboxes(1, async (sandbox) => {
      const second = await Sandbox.connect(sandbox.sandboxId, { sandboxUrl: server.proxyUrl });
      assert.equal((await second.commands.run('echo by header')).stdout, 'by header\n');
      assert.equal((await second.runCode('6 * 7')).text, '42');
    });
  });
});
