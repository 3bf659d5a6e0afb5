import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CommandExitError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, templateId } from './support.mjs';

describe('commands', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  test('give their output and exit status', async () => {
    const result = await sandbox.commands.run('echo out; echo err >&2');
    assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['out\n', 'err\n', 0]);
  });

  test('fail with what they printed and their status', async () => {
    await assert.rejects(sandbox.commands.run('echo half; echo wrong >&2; exit 7'), (error) => {
      assert.ok(error instanceof CommandExitError);
      assert.deepEqual([error.exitCode, error.stdout, error.stderr], [7, 'half\n', 'wrong\n']);
      return true;
    });
  });

  test('run as the user, in the directory and with the variables asked for', async () => {
    assert.equal((await sandbox.commands.run('id -un; pwd')).stdout, 'user\n/home/user\n');
    assert.equal((await sandbox.commands.run('id -un; pwd', { user: 'root', cwd: '/tmp' })).stdout, 'root\n/tmp\n');
    assert.equal((await sandbox.commands.run('echo "$A-$B"', { envs: { A: 'one two', B: 'ü' } })).stdout,
      'one two-ü\n');
    assert.equal((await sandbox.commands.run('sudo id -u')).stdout, '0\n');
  });

  test('keep every byte of UTF-8 output', async () => {
    const text = 'žluťoučký kůň 🐎 '.repeat(2000);
    await sandbox.files.write('/tmp/utf8', text);
    assert.equal((await sandbox.commands.run('cat /tmp/utf8')).stdout, text);
  });

  test('stream their output while they run in the background', async () => {
    const pieces = [];
    let told;
    const first = new Promise((resolve) => { told = resolve; });
    const command = await sandbox.commands.run('for i in 1 2 3; do echo $i; read -r _; done', {
      background: true,
      stdin: true,
      onStdout: (text) => { pieces.push(text); told(); },
    });
    assert.ok(command.pid > 0);
    await first;
    // The command waits for input: what came so far was streamed, not collected.
    assert.equal(pieces.join(''), '1\n');
    await command.sendStdin('\n');
    await eventually(() => pieces.join('') === '1\n2\n', 'the second line');
    await sandbox.commands.sendStdin(command.pid, '\n\n');
    const result = await command.wait();
    assert.deepEqual([result.exitCode, result.stdout], [0, '1\n2\n3\n']);
  });

  test('read their standard input to its end', async () => {
    const command = await sandbox.commands.run('sort', { background: true, stdin: true });
    await command.sendStdin('pear\napple\n');
    await command.sendStdin('fig\n');
    await command.closeStdin();
    assert.equal((await command.wait()).stdout, 'apple\nfig\npear\n');
  });

  test('are listed while they run, and killed', async () => {
    const command = await sandbox.commands.run('sleep 1000', { background: true });
    const listed = (await sandbox.commands.list()).find((process) => process.pid === command.pid);
    assert.deepEqual(listed?.args, ['-l', '-c', 'sleep 1000']);
    assert.equal(await command.kill(), true);
    await assert.rejects(command.wait(), CommandExitError);
    await eventually(async () => !(await sandbox.commands.list()).some((p) => p.pid === command.pid), 'it is gone');
    assert.equal(await sandbox.commands.kill(command.pid), false);
  });

  test('go on without their client, and are connected to again', async () => {
    const command = await sandbox.commands.run('read -r line; echo "got $line"', { background: true, stdin: true });
    await command.disconnect();
    const again = await (await Sandbox.connect(sandbox.sandboxId)).commands.connect(command.pid);
    await again.sendStdin('through\n');
    assert.equal((await again.wait()).stdout, 'got through\n');
  });

  test('run side by side', async () => {
    const results = await Promise.all(
      Array.from({ length: 8 }, (_, i) => sandbox.commands.run(`echo ${i}`)));
    assert.deepEqual(results.map((result) => result.stdout), Array.from({ length: 8 }, (_, i) => `${i}\n`));
  });

  test('end at their timeout', async () => {
    await assert.rejects(sandbox.commands.run('sleep 1000', { timeoutMs: 500 }), /timed out|deadline|timeout/i);
  });
});
