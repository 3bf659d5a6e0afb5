import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CommandExitError, GitAuthError, GitUpstreamError, InvalidArgumentError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, templateId } from './support.mjs';

// A sandbox has no network: the remotes are repositories on its own disk.
describe('git', () => {
  let sandbox;
  let git;
  before(async () => {
    sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 });
    git = sandbox.git;
    await git.configureUser('Test User', 'test@example.com');
  });
  after(() => sandbox?.kill());

  async function repository(name) {
    const path = `/home/user/${name}`;
    await git.init(path, { initialBranch: 'main' });
    await sandbox.files.write(`${path}/file`, 'first\n');
    await git.add(path);
    await git.commit(path, 'first');
    return path;
  }

  test('tells the state of a repository', async () => {
    const path = await repository('status');
    assert.equal((await git.status(path)).isClean, true);
    await sandbox.files.write(`${path}/file`, 'changed\n');
    await sandbox.files.write(`${path}/new`, 'new\n');
    await git.add(path, { files: ['file'] });
    const status = await git.status(path);
    assert.equal(status.currentBranch, 'main');
    assert.deepEqual([status.hasStaged, status.hasUntracked, status.isClean], [true, true, false]);
    assert.deepEqual(status.fileStatus.map((file) => file.name).sort(), ['file', 'new']);
    await git.commit(path, 'second', { authorName: 'Somebody Else', authorEmail: 'else@example.com' });
    await git.commit(path, 'empty', { allowEmpty: true });
    assert.equal((await sandbox.commands.run('git log --format="%an %s"', { cwd: path })).stdout,
      'Test User empty\nSomebody Else second\nTest User first\n');
  });

  test('makes, lists, changes and removes branches', async () => {
    const path = await repository('branches');
    await git.createBranch(path, 'topic');
    assert.deepEqual(await git.branches(path), { branches: ['main', 'topic'], currentBranch: 'topic' });
    await git.checkoutBranch(path, 'main');
    await git.deleteBranch(path, 'topic');
    assert.deepEqual((await git.branches(path)).branches, ['main']);
    await git.createBranch(path, 'unmerged');
    await git.commit(path, 'more', { allowEmpty: true });
    await git.checkoutBranch(path, 'main');
    await assert.rejects(git.deleteBranch(path, 'unmerged'), CommandExitError);
    await git.deleteBranch(path, 'unmerged', { force: true });
    await assert.rejects(git.checkoutBranch(path, 'nothing'), CommandExitError);
  });

  test('takes changes back', async () => {
    const path = await repository('reset');
    await sandbox.files.write(`${path}/file`, 'changed\n');
    await git.add(path);
    await git.reset(path, { paths: ['file'] });
    assert.equal((await git.status(path)).hasStaged, false);
    await git.restore(path, { paths: ['file'] });
    assert.equal(await sandbox.files.read(`${path}/file`), 'first\n');
    await git.commit(path, 'second', { allowEmpty: true });
    await git.reset(path, { mode: 'hard', target: 'HEAD~1' });
    assert.equal((await sandbox.commands.run('git log --format=%s', { cwd: path })).stdout, 'first\n');
    await assert.rejects(git.reset(path, { mode: 'wrong' }), InvalidArgumentError);
    await assert.rejects(git.restore(path, { paths: [] }), InvalidArgumentError);
  });

  test('clones, pushes and pulls', async () => {
    const path = await repository('origin-work');
    await assert.rejects(git.push(path), CommandExitError);
    await assert.rejects(git.pull(path), GitUpstreamError);
    await git.init('/home/user/origin.git', { bare: true, initialBranch: 'main' });
    await git.remoteAdd(path, 'origin', '/home/user/nowhere.git');
    await assert.rejects(git.remoteAdd(path, 'origin', '/home/user/origin.git'), CommandExitError);
    await git.remoteAdd(path, 'origin', '/home/user/origin.git', { overwrite: true });
    assert.equal(await git.remoteGet(path, 'origin'), '/home/user/origin.git');
    assert.equal(await git.remoteGet(path, 'other'), undefined);
    await assert.rejects(git.push(path), GitUpstreamError);
    await git.push(path, { remote: 'origin', branch: 'main' });

    await git.clone('/home/user/origin.git', { path: '/home/user/clone', branch: 'main' });
    assert.equal(await sandbox.files.read('/home/user/clone/file'), 'first\n');
    await sandbox.files.write(`${path}/file`, 'second\n');
    await git.add(path);
    await git.commit(path, 'second');
    await git.push(path);
    await git.pull('/home/user/clone');
    assert.equal(await sandbox.files.read('/home/user/clone/file'), 'second\n');
    assert.equal((await git.status('/home/user/clone')).upstream, 'origin/main');
    await assert.rejects(git.clone('/home/user/nowhere.git', { path: '/home/user/never' }), CommandExitError);
  });

  test('tells that a remote wants to know who asks', async () => {
    const server = 'from http.server import *\n'
      + 'class Handler(BaseHTTPRequestHandler):\n'
      + '    def do_GET(self):\n'
      + '        self.send_response(401)\n'
      + '        self.send_header("WWW-Authenticate", "Basic realm=x")\n'
      + '        self.end_headers()\n'
      + 'HTTPServer(("127.0.0.1", 8418), Handler).serve_forever()\n';
    await sandbox.files.write('/tmp/server.py', server);
    const running = await sandbox.commands.run('python3 /tmp/server.py', { background: true });
    await eventually(async () => (await sandbox.commands.run('curl -s -o /dev/null localhost:8418 && echo up || true')).stdout,
      'the server is up');
    const url = 'http://localhost:8418/repository.git';
    await assert.rejects(git.clone(url, { path: '/tmp/clone' }), GitAuthError);
    await assert.rejects(git.clone(url, { path: '/tmp/clone', username: 'u', password: 'wrong' }), GitAuthError);
    await assert.rejects(git.clone(url, { password: 'alone' }), InvalidArgumentError);
    await running.kill();
  });

  test('fails as git does where there is no repository', async () => {
    await sandbox.files.makeDir('/home/user/no-repository');
    const path = '/home/user/no-repository';
    const calls = {
      status: () => git.status(path),
      branches: () => git.branches(path),
      createBranch: () => git.createBranch(path, 'b'),
      checkoutBranch: () => git.checkoutBranch(path, 'b'),
      deleteBranch: () => git.deleteBranch(path, 'b'),
      add: () => git.add(path),
      commit: () => git.commit(path, 'message'),
      reset: () => git.reset(path),
      restore: () => git.restore(path, { paths: ['file'] }),
      remoteAdd: () => git.remoteAdd(path, 'origin', 'http://localhost/x.git'),
      push: () => git.push(path),
      pull: () => git.pull(path, { remote: 'origin', branch: 'main' }),
    };
    for (const [name, call] of Object.entries(calls)) {
      await assert.rejects(call(), (error) => error instanceof CommandExitError && error.exitCode !== 0
        && error.stderr.includes('not a git repository'), name);
    }
    assert.equal(await git.remoteGet(path, 'origin'), undefined);
  });

  test('fails as git does where it is asked for what is not there, and changes nothing', async () => {
    const path = await repository('failures');
    const before = await git.status(path);
    await assert.rejects(git.init('/proc/no-such-place'), CommandExitError);
    await assert.rejects(git.checkoutBranch(path, 'no-such-branch'), CommandExitError);
    await assert.rejects(git.deleteBranch(path, 'no-such-branch'), CommandExitError);
    await assert.rejects(git.createBranch(path, 'not a name'), CommandExitError);
    await assert.rejects(git.deleteBranch(path, before.currentBranch), CommandExitError);
    await assert.rejects(git.add(path, { files: ['no-such-file'] }), CommandExitError);
    await assert.rejects(git.commit(path, 'nothing to commit'), CommandExitError);
    await assert.rejects(git.reset(path, { target: 'no-such-commit' }), CommandExitError);
    await assert.rejects(git.restore(path, { paths: ['no-such-file'] }), CommandExitError);
    await assert.rejects(git.setConfig('no-section', 'x'), CommandExitError);
    await git.remoteAdd(path, 'origin', '/home/user/first.git');
    await assert.rejects(git.remoteAdd(path, 'origin', '/home/user/second.git'), CommandExitError);
    assert.equal(await git.remoteGet(path, 'origin'), '/home/user/first.git');
    await assert.rejects(git.push(path, { setUpstream: false }), GitUpstreamError);
    await assert.rejects(git.pull(path), GitUpstreamError);
    await assert.rejects(git.push(path, { remote: 'origin', branch: 'main' }), CommandExitError);
    await assert.rejects(git.pull(path, { remote: 'origin', branch: 'main' }), CommandExitError);
    assert.deepEqual(await git.status(path), before);
    assert.deepEqual((await git.branches(path)).branches, [before.currentBranch]);
  });

  test('is configured, for all or for one repository', async () => {
    const path = await repository('config');
    await git.setConfig('pull.rebase', 'false');
    assert.equal(await git.getConfig('pull.rebase'), 'false');
    await git.setConfig('pull.rebase', 'true', { scope: 'local', path });
    assert.equal(await git.getConfig('pull.rebase', { scope: 'local', path }), 'true');
    assert.equal(await git.getConfig('no.such'), undefined);
    await git.configureUser('Local', 'local@example.com', { scope: 'local', path });
    assert.equal(await git.getConfig('user.name', { scope: 'local', path }), 'Local');
    await git.dangerouslyAuthenticate({ username: 'somebody', password: 'secret', host: 'example.com' });
    assert.equal(await sandbox.files.read('/home/user/.git-credentials'), 'https://somebody:secret@example.com\n');
  });
});
