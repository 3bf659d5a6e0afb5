import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CommandExitError, InvalidArgumentError, NotFoundError, SandboxError, TimeoutError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, templateId, withSandboxes } from './support.mjs';

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
    assert.equal(sandbox.commands.supportsStdinClose, true);
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

  test('give the output to all who are connected, from then on', async () => {
    const command = await sandbox.commands.run('read -r a; echo "one $a"; read -r b; echo "two $b"; exit 4', {
      background: true, stdin: true,
    });
    const heard = [];
    const other = await sandbox.commands.connect(command.pid, { onStdout: (text) => { heard.push(text); } });
    await sandbox.commands.sendStdin(command.pid, 'x\n');
    await eventually(() => heard.join('') === 'one x\n' && command.stdout === 'one x\n', 'both have heard');
    const late = await sandbox.commands.connect(command.pid);
    await late.sendStdin(new TextEncoder().encode('y\n'));
    for (const [handle, output] of [[command, 'one x\ntwo y\n'], [other, 'one x\ntwo y\n'], [late, 'two y\n']]) {
      await assert.rejects(handle.wait(), (error) => error.exitCode === 4 && error.stdout === output);
      assert.deepEqual([handle.exitCode, handle.stdout, handle.stderr], [4, output, '']);
      assert.equal(handle.error, 'exit status 4');
    }
  });

  test('tell of what killed them', async () => {
    for (const [signal, error] of [['TERM', 'signal: terminated'], ['SEGV', 'signal: segmentation fault']]) {
      await assert.rejects(sandbox.commands.run(`kill -${signal} $$`), (failure) =>
        failure instanceof CommandExitError && failure.exitCode === -1 && failure.error === error);
    }
  });

  test('have no input unless it was asked for', async () => {
    assert.equal((await sandbox.commands.run('cat | wc -c')).stdout.trim(), '0');
    const command = await sandbox.commands.run('sleep 1000', { background: true, stdin: true });
    await command.sendStdin('');
    await command.closeStdin();
    await assert.rejects(command.sendStdin('x'), SandboxError);
    await command.kill();
  });

  test('that cannot be started, or are not there, are refused', async () => {
    await assert.rejects(sandbox.commands.run('true', { cwd: '/no/such/directory' }), InvalidArgumentError);
    await assert.rejects(sandbox.commands.run('true', { envs: { 'A=B': 'c' } }), InvalidArgumentError);
    await assert.rejects(sandbox.commands.run('no-such-command'), (error) => error.exitCode === 127);
    assert.equal(await sandbox.commands.kill(999_999), false);
    await assert.rejects(sandbox.commands.connect(999_999), NotFoundError);
    await assert.rejects(sandbox.commands.sendStdin(999_999, 'x'), NotFoundError);
    await assert.rejects(sandbox.commands.closeStdin(999_999), NotFoundError);
  });

  test('let go of their client when it wants no more', async () => {
    const heard = [];
    const command = await sandbox.commands.run('echo first; read -r _; echo second; read -r _', {
      background: true, stdin: true, onStdout: (text) => { heard.push(text); },
    });
    await eventually(() => heard.length === 1, 'the first line');
    await command.disconnect();
    await sandbox.commands.sendStdin(command.pid, '\n');
    const again = await sandbox.commands.connect(command.pid);
    await again.sendStdin('\n');
    assert.equal((await again.wait()).exitCode, 0);
    assert.deepEqual(heard, ['first\n']);
  });

  test('can be asked for their end for a while', async () => {
    const command = await sandbox.commands.run('exit 6', { background: true });
    await assert.rejects(command.wait(), CommandExitError);
    const late = await sandbox.commands.connect(command.pid);
    await assert.rejects(late.wait(), (error) => error.exitCode === 6);
  });

  test('that went into the background do not hold up the end', async () => {
    const result = await sandbox.commands.run('sleep 1000 >/dev/null 2>&1 & echo started');
    assert.equal(result.stdout, 'started\n');
  });

  test('can open their streams by name', async () => {
    const { stdout, stderr } = await sandbox.commands.run('echo out > /dev/stdout; echo err > /dev/stderr');
    assert.deepEqual([stdout, stderr], ['out\n', 'err\n']);
  });

  test('run as any user of the image', async () => {
    assert.equal((await sandbox.commands.run('id -un; id -Gn', { user: 'daemon' })).stdout, 'daemon\ndaemon\n');
  });

  test('end with their sandbox', () => withSandboxes(1, async (short) => {
    const command = await short.commands.run('sleep 1000', { background: true });
    await short.kill();
    await assert.rejects(command.wait(), (error) => error instanceof TimeoutError
      && error.message.includes('sandbox was killed or reached its end of life'));
    await assert.rejects(short.commands.run('true'), SandboxError);
  }));

  test('end at their timeout', async () => {
    await assert.rejects(sandbox.commands.run('sleep 1001', { timeoutMs: 500 }), TimeoutError);
    await eventually(async () => !(await sandbox.commands.list()).some((p) => p.args.includes('sleep 1001')),
      'the process is gone');
    const left = await sandbox.commands.run('sleep 1002', { background: true, timeoutMs: 2_000 });
    await left.disconnect();
    await eventually(async () => !(await sandbox.commands.list()).some((p) => p.pid === left.pid),
      'the process that nobody waits for is gone');
  });
});
