import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:http2';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from '@e2b/code-interpreter';
import { WebSocket } from 'undici';
import { eventually, withSandboxes } from './support.mjs';

describe('a port of a sandbox', () => {
  test('is reached by its host name', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/www/hello.txt', 'from inside');
    await sandbox.files.write('/home/user/www/big', 'x'.repeat(3_000_000));
    await sandbox.commands.run('python3 -m http.server 8000 --bind 127.0.0.1', {
      background: true, cwd: '/home/user/www', timeoutMs: 0,
    });
    const url = `https://${sandbox.getHost(8000)}`;
    const response = await eventually(async () => {
      const answer = await fetch(`${url}/hello.txt`);
      return answer.ok && answer;
    }, 'the server inside answers');
    assert.equal(await response.text(), 'from inside');
    assert.equal((await (await fetch(`${url}/big`)).text()).length, 3_000_000);
    assert.equal((await fetch(`${url}/missing`)).status, 404);
  }));

  test('on which nothing listens is a bad gateway', () => withSandboxes(1, async (sandbox) => {
    const response = await fetch(`https://${sandbox.getHost(8001)}/`);
    assert.equal(response.status, 502);
    assert.deepEqual(await response.json(), {
      sandboxId: sandbox.sandboxId, message: 'The sandbox is running but port is not open', port: 8001, code: 502,
    });
  }));

  test('speaks WebSocket, as long as both sides like', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/echo.mjs', `
      import { createServer } from 'node:http';
      import { createHash } from 'node:crypto';
      const server = createServer();
      server.on('upgrade', (request, socket) => {
        const accept = createHash('sha1').update(request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11');
        socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n'
          + 'Sec-WebSocket-Accept: ' + accept.digest('base64') + '\\r\\n\\r\\n');
        let rest = Buffer.alloc(0);
        socket.on('data', (data) => {
          rest = Buffer.concat([rest, data]);
          // Frames of up to 125 bytes: opcode, length, mask, payload.
          while (rest.length > 6 && rest.length >= 6 + (rest[1] & 127)) {
            const length = rest[1] & 127;
            const payload = rest.subarray(6, 6 + length).map((byte, i) => byte ^ rest[2 + i % 4]);
            socket.write(Buffer.concat([Buffer.from([rest[0], length]), payload]));
            rest = rest.subarray(6 + length);
          }
        });
        socket.on('error', () => {});
      });
      server.listen(8765, '127.0.0.1');`);
    await sandbox.commands.run('node echo.mjs', { background: true, timeoutMs: 0 });
    const messages = [];
    const socket = await eventually(() => new Promise((resolve) => {
      const attempt = new WebSocket(`wss://${sandbox.getHost(8765)}/`);
      attempt.addEventListener('open', () => resolve(attempt));
      attempt.addEventListener('error', () => resolve(null));
      attempt.addEventListener('message', ({ data }) => messages.push(data));
    }), 'the WebSocket opens');
    for (let i = 0; i < 20; i++) {
      socket.send(`message ${i}`);
      if (i === 9) await sleep(3000);
    }
    await eventually(() => messages.length === 20, 'all messages are echoed');
    assert.deepEqual(messages, Array.from({ length: 20 }, (_, i) => `message ${i}`));
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    await sandbox.kill();
    await closed;
  }));

  test('sends events as they happen, and takes and gives large bodies', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/stream.mjs', `
      import { createServer } from 'node:http';
      import { createHash } from 'node:crypto';
      createServer((request, response) => {
        if (request.url === '/events') {
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write('data: first\\n\\n');
          setTimeout(() => response.end('data: last\\n\\n'), 2000);
        } else if (request.url === '/sum') {
          const sum = createHash('sha256');
          request.on('data', (data) => sum.update(data)).on('end', () => response.end(sum.digest('hex')));
        } else {
          const block = Buffer.alloc(1 << 20, 'x');
          let left = 64;
          const more = () => { while (left-- > 0) if (!response.write(block)) return response.once('drain', more); response.end(); };
          more();
        }
      }).listen(8080, '::1');`);
    await sandbox.commands.run('node stream.mjs', { background: true, timeoutMs: 0 });
    const url = `https://${sandbox.getHost(8080)}`;
    const events = await eventually(async () => {
      const answer = await fetch(`${url}/events`);
      return answer.ok && answer;
    }, 'the server inside answers');
    const seen = [];
    const decoder = new TextDecoder();
    for await (const chunk of events.body) seen.push([decoder.decode(chunk), Date.now()]);
    assert.equal(seen.map(([text]) => text).join(''), 'data: first\n\ndata: last\n\n');
    assert.ok(seen.at(-1)[1] - seen[0][1] > 1000, 'the first event came with the last');

    const body = randomBytes(32 << 20);
    const sum = await (await fetch(`${url}/sum`, { method: 'POST', body })).text();
    assert.equal(sum, createHash('sha256').update(body).digest('hex'));
    let received = 0;
    for await (const chunk of (await fetch(`${url}/big`)).body) received += chunk.length;
    assert.equal(received, 64 << 20);
  }));

  test('is served by HTTP/2', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/index.html', 'hello');
    await sandbox.commands.run('python3 -m http.server 8000', { background: true, timeoutMs: 0 });
    const host = sandbox.getHost(8000);
    await eventually(async () => (await fetch(`https://${host}/`)).ok, 'the server inside answers');
    const session = connect(`https://${host}`);
    try {
      const answers = await Promise.all(Array.from({ length: 5 }, () => new Promise((resolve, reject) => {
        let status;
        let text = '';
        session.request({ ':path': '/' }).setEncoding('utf8').on('response', (headers) => { status = headers[':status']; })
          .on('data', (data) => { text += data; }).on('end', () => resolve([status, text])).on('error', reject);
      })));
      assert.deepEqual(answers, Array(5).fill([200, 'hello']));
    } finally {
      session.close();
    }
  }));

  test('that is not public wants the token, and has its host masked', () => withSandboxes(1, async (sandbox) => {
    assert.ok(sandbox.trafficAccessToken);
    await sandbox.files.write('/home/user/host.js', `
      require('http').createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(8000);`);
    await sandbox.commands.run('node host.js', { background: true, timeoutMs: 0 });
    const get = (token) => fetch(`https://${sandbox.getHost(8000)}/`, { headers: token ? { 'e2b-traffic-access-token': token } : {} });
    const headers = await eventually(async () => {
      const response = await get(sandbox.trafficAccessToken);
      return response.ok && response.json();
    }, 'the server inside answers');
    assert.equal(headers.host, 'localhost:8000');
    assert.equal(headers['x-forwarded-host'], sandbox.getHost(8000));
    for (const token of [undefined, 'guess']) {
      const refused = await get(token);
      assert.equal(refused.status, 403);
      assert.match((await refused.json()).message, /secured with traffic access token/);
    }
    // The interpreter is behind it too, and its client knows.
    assert.equal((await sandbox.runCode('1 + 1')).text, '2');
    const again = await Sandbox.connect(sandbox.sandboxId);
    assert.equal(again.trafficAccessToken, sandbox.trafficAccessToken);
  }, { network: { allowPublicTraffic: false, maskRequestHost: 'localhost:${PORT}' } }));

  test('is spoken to by TLS where its owner says so', () => withSandboxes(1, async (sandbox) => {
    await sandbox.commands.run('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x'
      + ' -keyout key.pem -out cert.pem');
    await sandbox.files.write('/home/user/secure.js', `
      const { readFileSync } = require('fs');
      require('https').createServer({ key: readFileSync('key.pem'), cert: readFileSync('cert.pem') }, (request, response) => {
        response.setHeader('x-secure', String(request.socket.encrypted));
        request.pipe(response);
      }).listen(8443);
      require('http').createServer((request, response) => response.end('plain')).listen(8000);`);
    await sandbox.commands.run('node secure.js', { background: true, timeoutMs: 0 });
    assert.deepEqual((await sandbox.getInfo()).network.httpsPorts, [8443, 8444]);
    const url = `https://${sandbox.getHost(8443)}/`;
    await eventually(async () => (await fetch(url)).ok, 'the server inside answers');
    const response = await fetch(url, { method: 'POST', body: 'in and out '.repeat(100_000) });
    assert.equal(response.headers.get('x-secure'), 'true');
    assert.equal((await response.text()).length, 1_100_000);
    assert.equal(await (await fetch(`https://${sandbox.getHost(8000)}/`)).text(), 'plain');
    assert.equal((await fetch(`https://${sandbox.getHost(8444)}/`)).status, 502);
  }, { network: { httpsPorts: [8443, 8444] } }));

  test('passes bodies in and out', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/echo.js', `
      require('http').createServer((request, response) => {
        response.setHeader('x-method', request.method);
        request.pipe(response);
      }).listen(8080);`);
    await sandbox.commands.run('node echo.js', { background: true, timeoutMs: 0 });
    const url = `https://${sandbox.getHost(8080)}/`;
    await eventually(async () => (await fetch(url)).ok, 'the server inside answers');
    const body = 'payload '.repeat(100_000);
    const response = await fetch(url, { method: 'PUT', body });
    assert.equal(response.headers.get('x-method'), 'PUT');
    assert.equal(await response.text(), body);
  }));

  test('of a sandbox that is not there is an error, not a hang', async () => {
    const host = await withSandboxes(1, async (sandbox) => sandbox.getHost(8000));
    const response = await fetch(`https://${host}/`);
    assert.equal(response.status, 502);
    assert.equal((await response.json()).message, 'The sandbox was not found');
  });
});
