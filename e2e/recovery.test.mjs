import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Sandbox } from '@e2b/code-interpreter';
import { killServer, serverFile, withSandboxes } from './support.mjs';

describe('a server that was killed', () => {
  test('takes up its sandboxes again when it is restarted', { timeout: 300_000 }, async (t) => {
    const server = await serverFile();
    if (!server || !process.env.CUBE) return t.skip('only with a server of the test\'s own');
    await withSandboxes(2, async (sandbox, other) => {
      await sandbox.runCode('kept = "in memory"');
      const command = await sandbox.commands.run('read -r line; echo "got $line"',
        { background: true, stdin: true, timeoutMs: 0 });
      const lost = command.wait().catch((error) => error);

      await killServer(server.pid);
      assert.ok(await lost instanceof Error);
      await promisify(execFile)(process.env.CUBE, ['up']);
      assert.notEqual((await serverFile()).pid, server.pid);

      const again = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 300_000 });
      assert.ok((await again.commands.list()).some((process) => process.pid === command.pid));
      const connected = await again.commands.connect(command.pid);
      await connected.sendStdin('through\n');
      assert.equal((await connected.wait()).stdout, 'got through\n');
      assert.equal((await again.runCode('kept')).text, 'in memory');
      assert.equal((await other.commands.run('echo also here')).stdout, 'also here\n');
      await withSandboxes(1, async (fresh) => assert.equal((await fresh.runCode('1 + 1')).text, '2'));
    });
  });
});
