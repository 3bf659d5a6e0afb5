import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  FileNotFoundError, FilesystemEventType, FileType, InvalidArgumentError, Sandbox as PlainSandbox, TimeoutError,
} from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, templateId, withSandboxes } from './support.mjs';

describe('watched directories', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  /** Watches a new directory while `use` runs, which gets the events so far and a wait for one. */
  async function watching(name, use, options) {
    const directory = `/home/user/${name}`;
    await sandbox.files.makeDir(directory);
    const events = [];
    const handle = await sandbox.files.watchDir(directory, (event) => { events.push(event); }, options);
    const seen = (type, entry) => eventually(
      () => events.find((event) => event.type === type && event.name === entry), `${type} of ${entry}`);
    try {
      await use(directory, seen, events);
    } finally {
      await handle.stop();
    }
  }

  test('tell of uploads as of files that are written', () => watching('uploads', async (directory, seen, events) => {
    await sandbox.files.write(`${directory}/file`, 'one');
    await seen(FilesystemEventType.WRITE, 'file');
    assert.deepEqual(events.map((event) => [event.type, event.name]), [
      [FilesystemEventType.CREATE, 'file'], [FilesystemEventType.CHMOD, 'file'], [FilesystemEventType.WRITE, 'file'],
    ]);
    events.length = 0;
    await sandbox.files.write(`${directory}/file`, 'two');
    await seen(FilesystemEventType.WRITE, 'file');
    assert.ok(!events.some((event) => event.type === FilesystemEventType.CREATE), 'it was there already');
    assert.ok(events.every((event) => event.entry === undefined), 'entries were not asked for');
  }));

  test('tell of everything that commands do, by its kind', () => watching('commands', async (directory, seen, events) => {
    await sandbox.commands.run('touch a; chmod 600 a; mv a b; rm b; mkdir sub; touch sub/unseen; mkdir last', {
      cwd: directory,
    });
    await seen(FilesystemEventType.CREATE, 'last');
    const { CREATE, CHMOD, RENAME, REMOVE } = FilesystemEventType;
    assert.deepEqual(
      events.map((event) => [event.type, event.name]).filter(([type, name]) => type !== CHMOD || name !== 'sub'),
      [[CREATE, 'a'], [CHMOD, 'a'], [CHMOD, 'a'], [RENAME, 'a'], [CREATE, 'b'], [REMOVE, 'b'], [CREATE, 'sub'],
        [CREATE, 'last']]);
  }));

  test('may include all below them, and what comes there later', () => watching('deep', async (directory, seen, events) => {
    await sandbox.files.makeDir(`${directory}/new`);
    await seen(FilesystemEventType.CREATE, 'new');
    await sandbox.files.write(`${directory}/new/file`, 'x');
    await seen(FilesystemEventType.WRITE, 'new/file');
    await sandbox.commands.run('mkdir -p a/b/c && echo x > a/b/c/file && mv a z && echo y >> z/b/c/file', { cwd: directory });
    await seen(FilesystemEventType.WRITE, 'z/b/c/file');
    assert.equal(events.filter((event) => event.name === 'a/b/c/file'
      && event.type === FilesystemEventType.CREATE).length, 1);
  }, { recursive: true }));

  test('describe the entries if asked', () => watching('entries', async (directory, seen, events) => {
    await sandbox.files.write(`${directory}/file`, '12345', { metadata: { author: 'somebody' } });
    const { entry } = await seen(FilesystemEventType.WRITE, 'file');
    assert.deepEqual([entry.name, entry.path, entry.type, entry.size, entry.owner, entry.metadata],
      ['file', `${directory}/file`, FileType.FILE, 5, 'user', { author: 'somebody' }]);
    await sandbox.files.remove(`${directory}/file`);
    await seen(FilesystemEventType.REMOVE, 'file');
    assert.equal(events.at(-1).entry, undefined);
  }, { includeEntry: true, allowNetworkMounts: true }));

  test('are watched until the client stops, or for the time it set', async () => {
    let ended;
    const exit = new Promise((resolve) => { ended = resolve; });
    await sandbox.files.watchDir('/tmp', () => {}, { timeoutMs: 3_000, onExit: ended });
    assert.ok(await exit instanceof TimeoutError);

    const events = [];
    const handle = await sandbox.files.watchDir('/tmp', (event) => { events.push(event); }, { timeoutMs: 0 });
    await handle.stop();
    await sandbox.files.write('/tmp/after-stop', 'x');
    await sandbox.files.list('/tmp');
    assert.deepEqual(events, []);
  });

  test('may be as many as a client likes, one after another', async () => {
    for (let i = 0; i < 100; i++) {
      await (await sandbox.files.watchDir('/home/user', () => {})).stop();
    }
  });

  test('must be directories that are there', async () => {
    await assert.rejects(sandbox.files.watchDir('/home/user/nothing', () => {}), FileNotFoundError);
    await assert.rejects(sandbox.files.watchDir('/etc/passwd', () => {}), InvalidArgumentError);
  });

  test('end with their sandbox', () => withSandboxes(1, async (short) => {
    let ended;
    const exit = new Promise((resolve) => { ended = resolve; });
    await short.files.watchDir('/tmp', () => {}, { onExit: ended, timeoutMs: 0 });
    await PlainSandbox.kill(short.sandboxId);
    assert.ok(await exit instanceof Error);
  }));
});
