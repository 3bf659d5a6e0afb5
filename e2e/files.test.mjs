import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import {
  AuthenticationError, FileNotFoundError, FileType, InvalidArgumentError, NotEnoughSpaceError, SandboxError,
} from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { residentMiB, serverFile, templateId, withSandboxes } from './support.mjs';

// How much goes up and down again in one piece.
const MEBIBYTES = Number(process.env.CUBE_TEST_FILE_MIB ?? 128);

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

  test('are read in the form asked for', async () => {
    await sandbox.files.write('/tmp/forms', 'žluť');
    assert.equal(await sandbox.files.read('/tmp/forms', { format: 'text' }), 'žluť');
    assert.deepEqual(await sandbox.files.read('/tmp/forms', { format: 'bytes' }), new TextEncoder().encode('žluť'));
    assert.equal(await (await sandbox.files.read('/tmp/forms', { format: 'blob' })).text(), 'žluť');
    assert.equal(await new Response(await sandbox.files.read('/tmp/forms', { format: 'stream' })).text(), 'žluť');
    await sandbox.files.write('/tmp/empty', '');
    assert.equal((await sandbox.files.read('/tmp/empty', { format: 'bytes' })).length, 0);
    assert.equal((await sandbox.files.read('/tmp/empty', { format: 'blob' })).size, 0);
    assert.equal(await sandbox.files.read('/proc/sys/kernel/ostype'), 'Linux\n');
  });

  test('are written in every form, compressed or not', async () => {
    const text = 'again and again '.repeat(1000);
    for (const data of [text, new TextEncoder().encode(text).buffer, new Blob([text]), new Blob([text]).stream()]) {
      for (const options of [{}, { gzip: true }, { useOctetStream: true }]) {
        if (data instanceof ReadableStream && Object.keys(options).length) continue;
        const written = await sandbox.files.write('/tmp/every', data, options);
        assert.deepEqual(written, { name: 'every', path: '/tmp/every', type: 'file', metadata: undefined });
        assert.equal(await sandbox.files.read('/tmp/every', { gzip: !!options.gzip }), text);
      }
    }
    const several = await sandbox.files.writeFiles(
      [{ path: 'relative', data: 'r' }, { path: '~/tilde', data: new Blob(['t']) }], { useOctetStream: true });
    assert.deepEqual(several.map((file) => file.path).sort(), ['/home/user/relative', '/home/user/tilde']);
    assert.deepEqual(await sandbox.files.writeFiles([]), []);
  });

  test('keep the metadata that they are given, until they are written again', async () => {
    const metadata = { author: 'some body', 'odd.key': '' };
    assert.deepEqual((await sandbox.files.write('/tmp/meta/file', 'x', { metadata })).metadata, metadata);
    assert.deepEqual((await sandbox.files.getInfo('/tmp/meta/file')).metadata, metadata);
    assert.deepEqual((await sandbox.files.list('/tmp/meta'))[0].metadata, metadata);
    assert.deepEqual((await sandbox.files.rename('/tmp/meta/file', '/tmp/meta/other')).metadata, metadata);
    for (const useOctetStream of [true, false]) {
      const written = await sandbox.files.writeFiles(
        [{ path: '/tmp/meta/a', data: 'a' }, { path: '/tmp/meta/b', data: 'b' }], { metadata, useOctetStream });
      assert.deepEqual(written.map((file) => file.metadata), [metadata, metadata]);
    }
    await sandbox.commands.run(`python3 -c 'import os; os.setxattr("/tmp/meta/a", "user.e2b.own", b"value")'`);
    assert.equal((await sandbox.files.getInfo('/tmp/meta/a')).metadata.own, 'value');
    assert.equal((await sandbox.files.write('/tmp/meta/other', 'y')).metadata, undefined);
    assert.equal((await sandbox.files.getInfo('/tmp/meta/other')).metadata, undefined);
    await assert.rejects(sandbox.files.write('/tmp/meta/c', 'x', { metadata: { big: 'x'.repeat(5000) } }),
      InvalidArgumentError);
    assert.equal(await sandbox.files.exists('/tmp/meta/c'), false);
  });

  test('belong to the user asked for, who may be any of the image', async () => {
    for (const [user, home] of [['root', '/root'], ['daemon', '/usr/sbin']]) {
      assert.equal((await sandbox.files.write('new-file', 'x', { user })).path, `${home}/new-file`);
      assert.equal((await sandbox.files.getInfo('new-file', { user })).owner, user);
      assert.equal(await sandbox.files.read('new-file', { user }), 'x');
      await sandbox.files.makeDir('new-directory', { user });
      assert.equal((await sandbox.files.getInfo(`${home}/new-directory`)).owner, user);
      assert.equal((await sandbox.files.rename('new-file', 'new-directory/moved', { user })).owner, user);
      assert.equal(await sandbox.files.exists('new-directory/moved', { user }), true);
      assert.equal((await sandbox.files.list('new-directory', { user })).length, 1);
      await sandbox.files.remove('new-directory', { user });
      assert.equal(await sandbox.files.exists('new-directory', { user }), false);
    }
    const user = 'nobody-here';
    for (const refused of [
      () => sandbox.files.write('/tmp/x', 'x', { user }), () => sandbox.files.read('/tmp/x', { user }),
      () => sandbox.files.list('/tmp', { user }), () => sandbox.files.makeDir('/tmp/y', { user }),
      () => sandbox.files.exists('/tmp', { user }), () => sandbox.files.getInfo('/tmp', { user }),
      () => sandbox.files.remove('/tmp/x', { user }), () => sandbox.files.rename('/tmp/x', '/tmp/y', { user }),
      () => sandbox.files.watchDir('/tmp', () => {}, { user }), () => sandbox.commands.run('true', { user }),
    ]) {
      await assert.rejects(refused, AuthenticationError);
    }
  });

  test('keep their mode when they are written again', async () => {
    await sandbox.files.write('/tmp/script', 'echo one');
    await sandbox.commands.run('chmod 750 /tmp/script');
    await sandbox.files.write('/tmp/script', 'echo two');
    assert.equal((await sandbox.commands.run('/tmp/script; stat -c %a /tmp/script')).stdout, 'two\n750\n');
  });

  test('may be links, which are followed as E2B does', async () => {
    await sandbox.commands.run('mkdir -p dir/sub && touch dir/file && ln -s dir link && ln -s nothing dangling'
      + ' && ln -s circle circle');
    const link = await sandbox.files.getInfo('link');
    assert.deepEqual([link.type, link.path, link.symlinkTarget], [FileType.DIR, '/home/user/link', '/home/user/dir']);
    assert.deepEqual((await sandbox.files.list('link')).map((entry) => entry.path),
      ['/home/user/link/file', '/home/user/link/sub']);
    assert.equal((await sandbox.files.getInfo('dangling')).type, undefined);
    assert.ok(!(await sandbox.files.list('/home/user')).some((entry) => entry.name === 'dangling'));
    await assert.rejects(sandbox.files.list('dangling'), FileNotFoundError);
    await assert.rejects(sandbox.files.list('circle'), SandboxError);
    await sandbox.files.remove('link');
    assert.equal(await sandbox.files.exists('dir/file'), true);
  });

  test('are listed in order, as deep as asked', async () => {
    await sandbox.commands.run('mkdir -p tree/a/b/c tree/a.d && touch tree/a/x tree/a/b/c/deep');
    assert.deepEqual((await sandbox.files.list('tree', { depth: 1000 })).map((entry) => entry.path.slice(16)),
      ['a', 'a/b', 'a/b/c', 'a/b/c/deep', 'a/x', 'a.d']);
    await assert.rejects(sandbox.files.list('tree', { depth: 0 }), InvalidArgumentError);
  });

  test('that are not there are reported so', async () => {
    await assert.rejects(sandbox.files.read('/tmp/nothing'), FileNotFoundError);
    await assert.rejects(sandbox.files.read('/tmp/nothing', { format: 'stream' }), FileNotFoundError);
    await assert.rejects(sandbox.files.getInfo('/tmp/nothing'), FileNotFoundError);
    await assert.rejects(sandbox.files.list('/tmp/nothing'), FileNotFoundError);
    await assert.rejects(sandbox.files.rename('/tmp/nothing', '/tmp/something'), FileNotFoundError);
    await sandbox.files.remove('/tmp/nothing');
  });

  test('that are in the way are reported so', async () => {
    await sandbox.files.write('/tmp/way/file', 'x');
    await assert.rejects(sandbox.files.read('/tmp/way'), InvalidArgumentError);
    await assert.rejects(sandbox.files.write('/tmp/way', 'x'), InvalidArgumentError);
    await assert.rejects(sandbox.files.list('/tmp/way/file'), InvalidArgumentError);
    await assert.rejects(sandbox.files.makeDir('/tmp/way/file'), InvalidArgumentError);
    await assert.rejects(sandbox.files.write('/tmp/way/file/below', 'x'), SandboxError);
    await assert.rejects(sandbox.files.makeDir('/tmp/way/file/below'), SandboxError);
    await assert.rejects(sandbox.files.getInfo('/tmp/way/file/below'), SandboxError);
    await assert.rejects(sandbox.files.write('/proc/sys/kernel/nothing', 'x'), SandboxError);
    await assert.rejects(sandbox.files.read('~root/x'), InvalidArgumentError);
    assert.equal(await sandbox.files.read('/tmp/way/file'), 'x');
  });

  test('that the disk has no room for leave nothing', async () => {
    await sandbox.commands.run('mkdir -p /tmp/small && sudo mount -t tmpfs -o size=1m tmpfs /tmp/small');
    const data = new Blob([Buffer.alloc(4 << 20)]);
    await assert.rejects(sandbox.files.write('/tmp/small/file', data), NotEnoughSpaceError);
    assert.deepEqual(await sandbox.files.list('/tmp/small'), []);
    await sandbox.files.write('/tmp/small/file', 'fits');
  });

  test('go to and from who has a signed URL, for as long as it says', () => withSandboxes(1, async (secure) => {
    await secure.files.write('signed', 'content');
    const down = await secure.downloadUrl('signed', { useSignatureExpiration: 60_000 });
    assert.equal(await (await fetch(down)).text(), 'content');
    assert.equal((await fetch(down.replace('path=signed', 'path=.profile'))).status, 401);
    assert.equal((await fetch(await secure.downloadUrl('signed', { useSignatureExpiration: -60_000 }))).status, 401);
    const form = new FormData();
    form.append('file', new Blob(['uploaded']), 'ignored');
    const up = await secure.uploadUrl('signed', { useSignatureExpiration: 60_000, user: 'root' });
    assert.equal((await fetch(up, { method: 'POST', body: form })).status, 200);
    assert.equal(await secure.files.read('/root/signed'), 'uploaded');
    assert.equal((await fetch(down, { method: 'POST', body: form })).status, 401);
    assert.equal((await fetch(new URL('/metrics', down))).status, 401);
  }, { secure: true }));

  test(`of ${MEBIBYTES} MiB pass without growing the server`, { timeout: 1_200_000 }, async (t) => {
    const server = await serverFile();
    if (!server) return t.skip('the server is not on this machine');
    const piece = randomBytes(1 << 20);
    let left = MEBIBYTES;
    const upload = new ReadableStream({
      pull(controller) {
        if (left-- > 0) controller.enqueue(new Uint8Array(piece));
        else controller.close();
      },
    });
    const before = await residentMiB(server.pid);
    let most = before;
    const looking = setInterval(async () => { most = Math.max(most, await residentMiB(server.pid)); }, 100);
    try {
      await sandbox.files.write('/tmp/large', upload);
      assert.equal((await sandbox.files.getInfo('/tmp/large')).size, MEBIBYTES << 20);
      let at = 0;
      for await (const chunk of await sandbox.files.read('/tmp/large', { format: 'stream' })) {
        for (let done = 0; done < chunk.length;) {
          const phase = (at + done) % piece.length;
          const length = Math.min(chunk.length - done, piece.length - phase);
          assert.equal(Buffer.compare(chunk.subarray(done, done + length), piece.subarray(phase, phase + length)), 0);
          done += length;
        }
        at += chunk.length;
      }
      assert.equal(at, MEBIBYTES << 20);
    } finally {
      clearInterval(looking);
      await sandbox.files.remove('/tmp/large');
    }
    assert.ok(most - before < 64, `the server grew by ${most - before} MiB`);
  });
});
