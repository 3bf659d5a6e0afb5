import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { templateId, withSandboxes } from './support.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function run(tool, ...args) {
  return new Promise((resolve) => {
    execFile(join(root, 'bin', tool), args, { cwd: root }, (error, stdout, stderr) =>
      resolve({ status: error ? error.code : 0, stdout, stderr }));
  });
}

describe('cubemastercli', () => {
  test('lists, describes and destroys sandboxes', () => withSandboxes(1, async (sandbox) => {
    const id = sandbox.sandboxId;
    assert.match((await run('cubemastercli', 'list')).stdout, new RegExp(`^${id} .*running`, 'm'));
    const described = JSON.parse((await run('cubemastercli', 'info', id, '-o', 'json')).stdout);
    assert.deepEqual([described.sandboxID, described.templateID, described.metadata.made], [id, templateId, 'here']);
    assert.equal((await run('cubemastercli', 'destroy', id)).stdout, `${id}\n`);
    const gone = await run('cubemastercli', 'info', id);
    assert.equal(gone.status, 1);
    assert.match(gone.stderr, new RegExp(`^cubemastercli: .*${id}.*\n$`));
  }, { metadata: { made: 'here' } }));

  test('takes, lists, describes and deletes snapshots', () => withSandboxes(1, async ({ sandboxId }) => {
    const id = (await run('cubemastercli', 'snapshot', 'create', sandboxId, '--durable')).stdout.trim();
    assert.match((await run('cubemastercli', 'snapshot', 'list', '--sandbox', sandboxId)).stdout,
      new RegExp(`^${id} .*${sandboxId} .*durable .*MiB`, 'm'));
    const described = JSON.parse((await run('cubemastercli', 'snapshot', 'info', id, '-o', 'json')).stdout);
    assert.deepEqual([described.sandboxID, described.state], [sandboxId, 'durable']);
    assert.equal((await run('cubemastercli', 'snapshot', 'delete', id)).status, 0);
    assert.equal((await run('cubemastercli', 'snapshot', 'info', id)).status, 1);
  }));

  test('lists and describes templates', async () => {
    const list = JSON.parse((await run('cubemastercli', 'tpl', 'list', '-o', 'json')).stdout);
    const template = list.find((candidate) => candidate.templateID === templateId);
    assert.equal(template.state, 'READY');
    assert.ok(['base', 'code-interpreter-v1'].every((alias) => template.aliases.includes(alias)));
    assert.match((await run('cubemastercli', 'tpl', 'info', 'base')).stdout, new RegExp(`^Template +${templateId}$`, 'm'));
    assert.equal((await run('cubemastercli', 'tpl', 'watch', 'base')).status, 0);
  });

  test('says why a template cannot be made, and leaves none', async () => {
    const before = JSON.parse((await run('cubemastercli', 'tpl', 'list', '-o', 'json')).stdout);
    const failed = await run('cubemastercli', 'tpl', 'create-from-image', '--image', 'oci:/no/such/image');
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /\/no\/such\/image/);
    const after = JSON.parse((await run('cubemastercli', 'tpl', 'list', '-o', 'json')).stdout);
    const added = after.filter((t) => !before.some((b) => b.templateID === t.templateID));
    assert.ok(added.every((template) => template.state === 'FAILED'));
    for (const template of added) {
      assert.equal((await run('cubemastercli', 'tpl', 'delete', template.templateID)).status, 0);
    }
  });

  test('makes API keys and deletes them', async () => {
    const key = JSON.parse((await run('cubemastercli', 'apikey', 'create', 'for a test', '-o', 'json')).stdout);
    assert.ok(key.key.length >= 20);
    const listed = (await run('cubemastercli', 'apikey', 'list')).stdout;
    assert.match(listed, new RegExp(`^${key.id} +for a test`, 'm'));
    assert.ok(!listed.includes(key.key), 'a key is shown once');
    assert.equal((await run('cubemastercli', 'apikey', 'delete', key.id)).status, 0);
    assert.doesNotMatch((await run('cubemastercli', 'apikey', 'list')).stdout, new RegExp(`^${key.id} `, 'm'));
  });
});

describe('cube-bench', () => {
  test('measures creation and reports it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cube-bench-'));
    try {
      const report = join(directory, 'report.json');
      const { status, stdout } = await run('cube-bench', '-c', '2', '-n', '4', '-w', '1', '-o', report, '--no-tui');
      assert.equal(status, 0);
      assert.match(stdout, /avg +min +P50 +P90 +P95 +P99 +max/);
      const { figures, failures } = JSON.parse(await readFile(report, 'utf8'));
      assert.deepEqual([figures.create.count, figures.delete.count, figures.successPercent, failures], [4, 4, 100, []]);
      assert.ok(figures.create.min > 0 && figures.create.min <= figures.create.p50);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('measures the first commands of new sandboxes', async () => {
    const { status, stdout } = await run('cube-bench', 'first-command', '-n', '2', '-w', '1', '--no-tui');
    assert.equal(status, 0);
    assert.match(stdout, /^ *first command +2 /m);
  });

  test('measures calls into sandboxes, and what they cost the server', async () => {
    const { status, stdout, stderr } = await run('cube-bench', 'data-plane', '-n', '2', '-w', '1', '-s', '2', '--rounds', '1',
      '--large', '4', '--large-number', '1', '--no-tui');
    assert.equal(status, 0, stderr);
    for (const row of [/^ *run\('true'\) +2 /m, /^ *write 1 KiB +2 /m, /^ *read 4 MiB +1 /m, /^ *runCode\('1\+1'\) +2 /m,
      /^ *runCode in 2 at once +2 /m]) assert.match(stdout, row);
  });

  for (const [line, row] of [
    ['snapshot -c 2 -n 1', / usable +2 +1 .*\n *durable +2 +1 /],
    ['dirty -d 5 -n 1', /^ *5 +\d+\.\d +1 /m],
    ['create-from-snapshot -c 2 -n 1', /^ *create +2 +1 /m],
    ['rollback -c 2 -n 1', /^ *rollback +2 +1 /m],
    ['clone -n 3 -c 2 --rounds 1', /^ *clone +2 +1 /m],
    ['pause-resume -c 2 -n 1', / pause +2 +1 .*\n *resume +2 +1 /],
  ]) {
    test(`measures ${line} and leaves nothing behind`, async () => {
      const { status, stdout, stderr } = await run('cube-bench', ...line.split(' '), '--no-tui');
      assert.equal(status, 0, stderr);
      assert.match(stdout, row);
      const left = JSON.parse((await run('cubemastercli', 'list', '--metadata', 'made-by=cube-bench', '-o', 'json')).stdout);
      const snapshots = JSON.parse((await run('cubemastercli', 'snapshot', 'list', '-o', 'json')).stdout);
      assert.deepEqual([left, snapshots], [[], []]);
    });
  }

  test('writes a report beside the reference', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cube-bench-'));
    try {
      const { status, stdout } = await run('cube-bench', 'report', '--quick', '--only', 'rollback', '-d', directory, '--no-tui');
      assert.equal(status, 0, stdout);
      assert.match(await readFile(join(directory, 'report.md'), 'utf8'), /^\| 1 \| reference \| +\| 90\.0 .*\n\| +\| ours \| 2 \| [\d.]+/m);
      assert.match(await readFile(join(directory, 'report.html'), 'utf8'), /<svg /);
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test('ends with an error that names the template it could not use', async () => {
    const { status, stderr } = await run('cube-bench', '-n', '1', '-w', '0', '-t', 'no-such-template');
    assert.equal(status, 1);
    assert.match(stderr, /no-such-template/);
  });
});

describe('the Java client', () => {
  test('does what the others do', { timeout: 300_000 }, async (t) => {
    const { JAVA_HOME, CUBE_CLASS_PATH } = process.env;
    if (!CUBE_CLASS_PATH) return t.skip('./cube test says where the client\'s classes are');
    const { status, stdout, stderr } = await new Promise((resolve) => {
      execFile(join(JAVA_HOME, 'bin', 'java'), ['-cp', CUBE_CLASS_PATH, join(root, 'e2e', 'JavaClient.java')],
        (error, out, err) => resolve({ status: error ? error.code : 0, stdout: out, stderr: err }));
    });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, 'all good\n');
  });
});
