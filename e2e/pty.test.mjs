import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AuthenticationError, CommandExitError, InvalidArgumentError, NotFoundError, SandboxError, SandboxNotFoundError,
  TimeoutError,
} from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, templateId, withSandboxes } from './support.mjs';

const bytes = (text) => new TextEncoder().encode(text);

/** What a terminal shows. */
class Screen {
  text = '';
  #decoder = new TextDecoder();
  show = (data) => { this.text += this.#decoder.decode(data, { stream: true }); };
  shows = (what) => eventually(() => this.text.includes(what), `"${what}" in ${JSON.stringify(this.text)}`);
}

describe('terminals', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  async function open(options = {}) {
    const screen = new Screen();
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: screen.show, ...options });
    return [terminal, screen];
  }

  test('run a login shell of the user, in the directory and with the variables asked for', async () => {
    const [terminal, screen] = await open({ user: 'root', cwd: '/tmp', envs: { ABC: 'a b' } });
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "$(id -un):$PWD:$ABC:$TERM:$LANG"; tty; exit\n'));
    const result = await terminal.wait();
    assert.equal(result.exitCode, 0);
    assert.match(screen.text, /root:\/tmp:a b:xterm-256color:C\.UTF-8\r\n/);
    assert.match(screen.text, /\/dev\/pts\/\d+\r\n/);
    assert.deepEqual([result.stdout, result.stderr], ['', ''], 'all output of a terminal is its own');
  });

  test('tell how their shell ended', async () => {
    const [terminal] = await open();
    await sandbox.pty.sendInput(terminal.pid, bytes('exit 3\n'));
    await assert.rejects(terminal.wait(), (error) => error instanceof CommandExitError && error.exitCode === 3);
  });

  test('have the size they were given, and take another', async () => {
    const [terminal, screen] = await open({ cols: 100, rows: 30 });
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "is $(stty size)"\n'));
    await screen.shows('is 30 100');
    await sandbox.pty.resize(terminal.pid, { cols: 132, rows: 50 });
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "is $(stty size)"\n'));
    await screen.shows('is 50 132');
    assert.equal(await sandbox.pty.kill(terminal.pid), true);
  });

  test('pass on control characters', async () => {
    const [terminal, screen] = await open();
    await sandbox.pty.sendInput(terminal.pid, bytes('sleep 1000\n'));
    await eventually(async () => (await sandbox.commands.run('pgrep -x sleep || true')).stdout, 'it sleeps');
    await sandbox.pty.sendInput(terminal.pid, new Uint8Array([3]));
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "ended with $?"\n'));
    await screen.shows('ended with 130');
    await sandbox.pty.sendInput(terminal.pid, new Uint8Array([4]));
    assert.equal((await terminal.wait()).exitCode, 0);
  });

  test('go on without their client, and are connected to again', async () => {
    const [terminal, first] = await open();
    await sandbox.pty.sendInput(terminal.pid, bytes('X=kept; echo "first $X"\n'));
    await first.shows('first kept');
    await terminal.disconnect();
    const second = new Screen();
    const again = await sandbox.pty.connect(terminal.pid, { onData: second.show });
    assert.equal(again.pid, terminal.pid);
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "second $X"; exit\n'));
    assert.equal((await again.wait()).exitCode, 0);
    assert.ok(second.text.includes('second kept'));
    assert.ok(!first.text.includes('second'));
  });

  test('are shown to all who are connected', async () => {
    const [terminal, first] = await open();
    const second = new Screen();
    const other = await sandbox.pty.connect(terminal.pid, { onData: second.show });
    await sandbox.pty.sendInput(terminal.pid, bytes('echo "for $((1+1))"; exit\n'));
    await Promise.all([terminal.wait(), other.wait()]);
    assert.ok(first.text.includes('for 2') && second.text.includes('for 2'));
  });

  test('are listed and killed', async () => {
    const [terminal] = await open();
    const listed = (await sandbox.commands.list()).find((process) => process.pid === terminal.pid);
    assert.deepEqual([listed.cmd, listed.args, listed.envs.TERM], ['/bin/bash', ['-i', '-l'], 'xterm-256color']);
    assert.equal(await terminal.kill(), true);
    await assert.rejects(terminal.wait(), CommandExitError);
    await eventually(async () => !(await sandbox.pty.kill(terminal.pid)), 'it is gone');
  });

  test('end at their timeout', async () => {
    const [terminal] = await open({ timeoutMs: 3_000 });
    await assert.rejects(terminal.wait(), TimeoutError);
    await eventually(async () => !(await sandbox.commands.list()).some((p) => p.pid === terminal.pid), 'it is gone');
  });

  test('that cannot be started, or are not there, are refused', async () => {
    await assert.rejects(open({ cwd: '/no/such/directory' }), InvalidArgumentError);
    await assert.rejects(open({ user: 'nobody-here' }), AuthenticationError);
    await assert.rejects(open({ envs: { 'A=B': 'c' } }), InvalidArgumentError);
    assert.equal(await sandbox.pty.kill(999_999), false);
  });

  test('end with their sandbox', () => withSandboxes(1, async (short) => {
    const terminal = await short.pty.create({ cols: 80, rows: 24, onData: () => {} });
    await short.kill();
    await assert.rejects(terminal.wait(), TimeoutError);
    await assert.rejects(short.pty.create({ cols: 80, rows: 24, onData: () => {} }), SandboxNotFoundError);
  }));

  test('are told from commands', async () => {
    await assert.rejects(sandbox.pty.sendInput(999_999, bytes('x')), NotFoundError);
    await assert.rejects(sandbox.pty.resize(999_999, { cols: 1, rows: 1 }), NotFoundError);
    await assert.rejects(sandbox.pty.connect(999_999), NotFoundError);
    const command = await sandbox.commands.run('sleep 1000', { background: true, stdin: true });
    await assert.rejects(sandbox.pty.sendInput(command.pid, bytes('x')), SandboxError);
    await assert.rejects(sandbox.pty.resize(command.pid, { cols: 1, rows: 1 }), SandboxError);
    await command.kill();
    const [terminal] = await open();
    await assert.rejects(sandbox.commands.sendStdin(terminal.pid, 'x'), SandboxError);
    await assert.rejects(sandbox.commands.closeStdin(terminal.pid), SandboxError);
    await assert.rejects(terminal.sendStdin('x'), SandboxError);
    await assert.rejects(terminal.closeStdin(), SandboxError);
    await terminal.kill();
  });
});
