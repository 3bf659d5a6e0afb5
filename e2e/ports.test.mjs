import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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
    assert.equal((await fetch(`https://${sandbox.getHost(8001)}/`)).status, 502);
  }));

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
    assert.ok([404, 502].includes(response.status), `status ${response.status}`);
  });
});
