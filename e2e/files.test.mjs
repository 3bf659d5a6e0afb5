import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { FileType, NotFoundError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { templateId } from './support.mjs';

describe('files', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  test('are written and read', async () => {
    const written = await sandbox.files.write('/home/user/new/dir/text', 'línea\n');
    assert.equal(written.path, '/home/user/new/dir/text');
    assert.equal(await sandbox.files.read('/home/user/new/dir/text'), 'línea\n');
    await sandbox.files.write('/home/user/new/dir/text', 'short');
    assert.equal(await sandbox.files.read('/home/user/new/dir/text'), 'short');
    assert.equal((await sandbox.commands.run('stat -c %U:%G /home/user/new /home/user/new/dir/text')).stdout,
      'user:user\nuser:user\n');
  });

  test('keep every byte', async () => {
    const bytes = randomBytes(8 << 20);
    await sandbox.files.write('/tmp/bytes', bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    const read = await sandbox.files.read('/tmp/bytes', { format: 'bytes' });
    assert.ok(bytes.equals(read), 'the same bytes come back');
    assert.equal((await sandbox.commands.run('stat -c %s /tmp/bytes')).stdout, `${bytes.length}\n`);
  });

  test('are written several at a time', async () => {
    await sandbox.files.write([{ path: '/tmp/several/a', data: 'A' }, { path: '/tmp/several/b', data: 'B' }]);
    assert.equal((await sandbox.commands.run('cat /tmp/several/*')).stdout, 'AB');
  });

  test('may be empty, and have odd names', async () => {
    const name = '/tmp/odd &?#%20 náme';
    await sandbox.files.write(name, '');
    assert.equal(await sandbox.files.read(name), '');
    assert.equal(await sandbox.files.exists(name), true);
  });

  test('are described', async () => {
    await sandbox.commands.run('printf 12345 > /tmp/described && chmod 640 /tmp/described && ln -s described /tmp/link');
    const info = await sandbox.files.getInfo('/tmp/described');
    assert.deepEqual([info.name, info.path, info.type, info.size, info.mode & 0o7777, info.owner, info.group],
      ['described', '/tmp/described', FileType.FILE, 5, 0o640, 'user', 'user']);
    assert.match(info.permissions, /rw-r-----$/);
    assert.ok(Math.abs(info.modifiedTime - Date.now()) < 600_000);
    assert.match((await sandbox.files.getInfo('/tmp/link')).symlinkTarget, /described$/);
  });

  test('are listed', async () => {
    await sandbox.commands.run('mkdir -p /tmp/list/sub && touch /tmp/list/b /tmp/list/a /tmp/list/sub/deep');
    const shallow = await sandbox.files.list('/tmp/list');
    assert.deepEqual(shallow.map((entry) => [entry.name, entry.type]).sort(),
      [['a', FileType.FILE], ['b', FileType.FILE], ['sub', FileType.DIR]]);
    const deep = await sandbox.files.list('/tmp/list', { depth: 2 });
    assert.ok(deep.some((entry) => entry.path === '/tmp/list/sub/deep'));
  });

  test('are moved, removed and looked for', async () => {
    assert.equal(await sandbox.files.makeDir('/tmp/made/deep'), true);
    assert.equal(await sandbox.files.makeDir('/tmp/made/deep'), false);
    await sandbox.files.write('/tmp/made/deep/file', 'x');
    const moved = await sandbox.files.rename('/tmp/made/deep/file', '/tmp/made/renamed');
    assert.equal(moved.path, '/tmp/made/renamed');
    assert.equal(await sandbox.files.exists('/tmp/made/deep/file'), false);
    assert.equal(await sandbox.files.exists('/tmp/made/renamed'), true);
    await sandbox.files.remove('/tmp/made');
    assert.equal(await sandbox.files.exists('/tmp/made/deep'), false);
  });

  test('that are not there are reported so', async () => {
    await assert.rejects(sandbox.files.read('/tmp/nothing'), NotFoundError);
    await assert.rejects(sandbox.files.getInfo('/tmp/nothing'), NotFoundError);
    await assert.rejects(sandbox.files.list('/tmp/nothing'), NotFoundError);
    await assert.rejects(sandbox.files.rename('/tmp/nothing', '/tmp/something'), NotFoundError);
  });
});
