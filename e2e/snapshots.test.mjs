import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { NotFoundError, SandboxError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, killServer, listAll, serverFile, templateId, withSandboxes } from './support.mjs';

const NOTE = '/home/user/note';

/** What a sandbox holds: a file, and a variable in the memory of a process. */
async function write(sandbox, text) {
  await sandbox.files.write(NOTE, text);
  await sandbox.runCode(`note = ${JSON.stringify(text)}`);
}

async function assertHolds(sandbox, text) {
  assert.equal(await sandbox.files.read(NOTE), text);
  const code = await sandbox.runCode('note');
  assert.equal(code.error, undefined, code.error?.traceback);
  assert.equal(code.text, text);
  assert.equal((await sandbox.commands.run('hostname')).stdout.trim(), sandbox.sandboxId);
}

/** Runs `use` with a sandbox, and kills that whatever happens. */
async function using(sandbox, use) {
  try {
    return await use(sandbox);
  } finally {
    await sandbox.kill();
  }
}

async function snapshotsOf(options) {
  const items = [];
  for (const paginator = Sandbox.listSnapshots(options); paginator.hasNext;) items.push(...await paginator.nextItems());
  return items.map((snapshot) => snapshot.snapshotId);
}

/** A call for which the client has no method. */
async function api(method, path, body) {
  const response = await fetch(process.env.E2B_API_URL + path, {
    method,
    headers: { 'content-type': 'application/json', 'x-api-key': process.env.E2B_API_KEY },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, ...(text ? JSON.parse(text) : {}) };
}

const state = async (sandbox) => (await sandbox.getInfo()).state;

async function restartServer() {
  const { pid } = await serverFile();
  await killServer(pid);
  await promisify(execFile)(process.env.CUBE, ['up']);
}

describe('a snapshot', () => {
  test('is what sandboxes are made from, as often as one likes', () => withSandboxes(1, async (sandbox) => {
    await write(sandbox, 'one');
    const snapshot = await sandbox.createSnapshot();
    await write(sandbox, 'two');
    for (let i = 0; i < 2; i++) {
      await using(await Sandbox.create(snapshot.snapshotId), async (made) => {
        await assertHolds(made, 'one');
        await write(made, `changed ${i}`);
      });
    }
    await assertHolds(sandbox, 'two');
    assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), true);
    assert.equal(await Sandbox.deleteSnapshot(snapshot.snapshotId), false);
    await assert.rejects(Sandbox.create(snapshot.snapshotId), SandboxError);
  }));

  test('has a name, which the last one keeps', () => withSandboxes(1, async (sandbox) => {
    const name = `kept-${randomUUID()}`;
    const first = await Sandbox.createSnapshot(sandbox.sandboxId, { name });
    assert.deepEqual(first.names, [`${name}:default`]);
    await write(sandbox, 'two');
    const second = await sandbox.createSnapshot({ name });
    const tagged = await sandbox.createSnapshot({ name: `${name}:v1` });
    await using(await Sandbox.create(name), (made) => assertHolds(made, 'two'));
    assert.deepEqual(new Set(await snapshotsOf({ name })), new Set([second.snapshotId, tagged.snapshotId]));
    assert.deepEqual(await snapshotsOf({ name: `${name}:v1` }), [tagged.snapshotId]);
    for (const { snapshotId } of [first, second, tagged]) await Sandbox.deleteSnapshot(snapshotId);
    await assert.rejects(sandbox.createSnapshot({ name: 'No Name' }), SandboxError);
  }));

  test('is listed by its sandbox, in pages, and outlives it', async () => {
    const taken = await withSandboxes(2, async (sandbox, other) => {
      const own = [];
      for (let i = 0; i < 3; i++) own.unshift((await sandbox.createSnapshot()).snapshotId);
      await write(other, 'kept');
      const foreign = (await other.createSnapshot()).snapshotId;
      assert.deepEqual(await snapshotsOf({ sandboxId: sandbox.sandboxId, limit: 2 }), own);
      assert.deepEqual((await other.listSnapshots().nextItems()).map((item) => item.snapshotId), [foreign]);
      return { own, foreign };
    });
    await using(await Sandbox.create(taken.foreign), (made) => assertHolds(made, 'kept'));
    for (const id of [...taken.own, taken.foreign]) await Sandbox.deleteSnapshot(id);
  });

  test('becomes durable behind its back, or is waited for', () => withSandboxes(1, async (sandbox) => {
    const { snapshotId } = await sandbox.createSnapshot();
    const durable = await eventually(async () => {
      const snapshot = await api('GET', `/snapshots/${snapshotId}`);
      return snapshot.state === 'durable' && snapshot;
    }, 'the snapshot becomes durable');
    assert.equal(durable.sandboxID, sandbox.sandboxId);
    assert.equal(durable.templateID, templateId);
    const waited = await api('POST', `/sandboxes/${sandbox.sandboxId}/snapshots`, { durable: true });
    assert.equal(waited.status, 201);
    assert.equal(waited.state, 'durable');
    assert.equal(typeof waited.writtenBytes, 'number');
    for (const id of [snapshotId, waited.snapshotID]) await Sandbox.deleteSnapshot(id);
  }));

  test('of a snapshot of a snapshot holds what was there last', () => withSandboxes(1, async (sandbox) => {
    await write(sandbox, 'step 0');
    const taken = [(await sandbox.createSnapshot()).snapshotId];
    for (let i = 1; i <= 4; i++) {
      await using(await Sandbox.create(taken.at(-1)), async (made) => {
        await assertHolds(made, `step ${i - 1}`);
        await write(made, `step ${i}`);
        taken.push((await made.createSnapshot()).snapshotId);
      });
    }
    // What others are built on may go.
    for (const id of taken.slice(0, -1)) await Sandbox.deleteSnapshot(id);
    await using(await Sandbox.create(taken.at(-1)), (made) => assertHolds(made, 'step 4'));
    await Sandbox.deleteSnapshot(taken.at(-1));
  }));
});

describe('a rollback', () => {
  test('takes a sandbox back in place, with its processes', () => withSandboxes(2, async (sandbox, other) => {
    await write(sandbox, 'one');
    const kept = await sandbox.commands.run('sleep 1000', { background: true, timeoutMs: 0 });
    const { snapshotId } = await sandbox.createSnapshot();
    await write(sandbox, 'two');
    await kept.kill();
    const cut = await sandbox.commands.run('sleep 1000', { background: true, timeoutMs: 0 });
    const lost = cut.wait().catch((error) => error);
    const before = await sandbox.getInfo();

    const answer = await api('POST', `/sandboxes/${sandbox.sandboxId}/rollback`, { snapshotID: snapshotId });

    assert.equal(answer.status, 200);
    assert.equal(answer.sandboxID, sandbox.sandboxId);
    assert.ok(await lost instanceof Error, 'connections are cut');
    await assertHolds(sandbox, 'one');
    const pids = (await sandbox.commands.list()).map((process) => process.pid);
    assert.ok(pids.includes(kept.pid));
    assert.deepEqual((await sandbox.getInfo()).endAt, before.endAt);

    const foreign = await api('POST', `/sandboxes/${other.sandboxId}/rollback`, { snapshotID: snapshotId });
    assert.equal(foreign.status, 403);
    assert.match(foreign.message, new RegExp(sandbox.sandboxId));
    assert.equal((await api('POST', `/sandboxes/${sandbox.sandboxId}/rollback`, { snapshotID: 'nope' })).status, 404);
    await Sandbox.deleteSnapshot(snapshotId);
  }));
});

const RANDOM = 'import os, random, uuid; [os.urandom(8).hex(), random.random(), str(uuid.uuid4())]';

describe('copies of a running sandbox', () => {
  test('are clones, all with an identity of their own', () => withSandboxes(1, async (sandbox) => {
    await write(sandbox, 'state');
    await sandbox.runCode(RANDOM);
    const { status, sandboxes } = await api('POST', `/sandboxes/${sandbox.sandboxId}/clone`, { n: 3, concurrency: 2 });
    assert.equal(status, 201);
    const clones = await Promise.all(sandboxes.map(({ sandboxID }) => Sandbox.connect(sandboxID)));
    try {
      const seen = [];
      for (const one of [sandbox, ...clones]) {
        await assertHolds(one, 'state');
        seen.push((await one.runCode(RANDOM)).text);
      }
      assert.equal(new Set(seen).size, seen.length, seen.join('\n'));
      await write(clones[0], 'changed');
      await assertHolds(clones[1], 'state');
      await assertHolds(sandbox, 'state');
    } finally {
      await Promise.all(clones.map((clone) => clone.kill()));
    }
  }, { envs: { GREETING: 'hello' } }));

  test('are forks, as E2B calls them', () => withSandboxes(1, async (sandbox) => {
    await write(sandbox, 'state');
    const forks = await sandbox.fork({ count: 2, timeoutMs: 300_000 });
    try {
      assert.equal(forks.length, 2);
      for (const fork of forks) {
        await assertHolds(fork, 'state');
        assert.equal((await fork.commands.run('echo $GREETING')).stdout, 'hello\n');
      }
    } finally {
      await Promise.all(forks.map((fork) => fork.kill()));
    }
    await assert.rejects(Sandbox.fork('nope'), NotFoundError);
  }, { envs: { GREETING: 'hello' } }));
});

describe('a paused sandbox', () => {
  test('goes on where it was', () => withSandboxes(1, async (sandbox) => {
    await write(sandbox, 'state');
    const command = await sandbox.commands.run('read -r line; echo "got $line"',
      { background: true, stdin: true, timeoutMs: 0 });
    const lost = command.wait().catch((error) => error);

    assert.equal(await sandbox.pause(), true);
    assert.equal(await sandbox.betaPause(), false);
    assert.ok(await lost instanceof Error);
    const info = await Sandbox.getInfo(sandbox.sandboxId);
    assert.equal(info.state, 'paused');
    assert.ok((await listAll({ query: { state: ['paused'] } })).some((item) => item.sandboxId === sandbox.sandboxId));
    assert.ok(!(await listAll({ query: { state: ['running'] } })).some((item) => item.sandboxId === sandbox.sandboxId));
    assert.equal(await sandbox.isRunning(), false);
    await assert.rejects(sandbox.setTimeout(60_000), NotFoundError);
    await assert.rejects(sandbox.createSnapshot(), /paused/);

    const again = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 300_000 });
    assert.equal(await state(again), 'running');
    await assertHolds(again, 'state');
    const connected = await again.commands.connect(command.pid);
    await connected.sendStdin('through\n');
    assert.equal((await connected.wait()).stdout, 'got through\n');
    // The object of before works too, and connecting to what runs changes nothing.
    await assertHolds(await sandbox.connect(), 'state');
    assert.equal((await api('POST', `/sandboxes/${sandbox.sandboxId}/resume`, {})).status, 409);
  }));

  test('can be paused again and again, and killed', () => withSandboxes(1, async (sandbox) => {
    for (let i = 0; i < 3; i++) {
      await write(sandbox, `round ${i}`);
      await sandbox.pause();
      assert.equal((await api('POST', `/sandboxes/${sandbox.sandboxId}/resume`, { timeout: 300 })).status, 201);
      await assertHolds(sandbox, `round ${i}`);
    }
    await sandbox.pause();
    assert.equal(await Sandbox.kill(sandbox.sandboxId), true);
    await assert.rejects(Sandbox.connect(sandbox.sandboxId), NotFoundError);
  }));

  test('comes of a timeout, and stays until it is asked for', () => withSandboxes(1, async (sandbox) => {
    assert.deepEqual((await sandbox.getInfo()).lifecycle, { onTimeout: 'pause', autoResume: false });
    await write(sandbox, 'state');
    await sandbox.setTimeout(1_000);
    await eventually(async () => await state(sandbox) === 'paused', 'the sandbox is paused');
    assert.equal(await sandbox.isRunning(), false);
    await assert.rejects(sandbox.commands.run('true'));
    assert.equal(await state(sandbox), 'paused');
    await sandbox.connect({ timeoutMs: 300_000 });
    await assertHolds(sandbox, 'state');
  }, { lifecycle: { onTimeout: 'pause' } }));

  test('goes on, once, when it is used', () => withSandboxes(1, async (sandbox) => {
    assert.deepEqual((await sandbox.getInfo()).lifecycle, { onTimeout: 'pause', autoResume: true });
    await sandbox.files.write('/home/user/serve.py', `
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
`);
    await sandbox.commands.run('python3 serve.py', { background: true, cwd: '/home/user', timeoutMs: 0 });
    const url = `https://${sandbox.getHost(8000)}/`;
    const pid = await eventually(async () => {
      const response = await fetch(url);
      return response.ok && response.text();
    }, 'the server inside answers');

    await sandbox.setTimeout(1_000);
    // The client's stream of the command is cut, upon which it asks for the sandbox's health; that wakes nothing.
    await eventually(async () => await state(sandbox) === 'paused', 'the sandbox is paused');
    assert.equal(await sandbox.isRunning(), false);
    assert.equal(await state(sandbox), 'paused');
    const answers = await Promise.all(Array.from({ length: 10 }, async () => {
      const response = await fetch(url);
      return `${response.status} ${await response.text()}`;
    }));
    assert.deepEqual(new Set(answers), new Set([`200 ${pid}`]));
    const { endAt } = await sandbox.getInfo();
    assert.ok(endAt - Date.now() > 200_000, 'it has five minutes again');

    await sandbox.pause();
    assert.equal((await sandbox.commands.run('echo awake')).stdout, 'awake\n');
    await sandbox.pause();
    assert.equal((await sandbox.runCode('6 * 7')).text, '42');
    await sandbox.pause();
    assert.equal(await sandbox.files.read('/home/user/serve.py').then((text) => text.length > 0), true);
  }, { lifecycle: { onTimeout: 'pause', autoResume: true } }));
});

describe('a server that was killed', () => {
  test('finds snapshots and paused sandboxes again', { timeout: 300_000 }, async (t) => {
    if (!process.env.CUBE || !await serverFile()) return t.skip('only with a server of the test\'s own');
    await withSandboxes(3, async (running, paused, ended) => {
      await write(running, 'one');
      const usable = await running.createSnapshot();
      await write(running, 'two');
      await write(paused, 'three');
      await paused.pause();
      await write(ended, 'four');
      const kept = await ended.createSnapshot({ name: 'survivor' });
      await ended.kill();

      await restartServer();

      await assertHolds(await Sandbox.connect(running.sandboxId), 'two');
      assert.equal(await state(paused), 'paused');
      await assertHolds(await Sandbox.connect(paused.sandboxId, { timeoutMs: 300_000 }), 'three');
      await using(await Sandbox.create('survivor'), (made) => assertHolds(made, 'four'));
      await using(await Sandbox.create(usable.snapshotId), (made) => assertHolds(made, 'one'));
      assert.equal((await api('POST', `/sandboxes/${running.sandboxId}/rollback`, { snapshotID: usable.snapshotId }))
        .status, 200);
      await assertHolds(running, 'one');
      await eventually(async () => (await api('GET', `/snapshots/${usable.snapshotId}`)).state === 'durable',
        'the snapshot becomes durable all the same');

      // Killed while it pauses: the sandbox runs or is paused, with all that it held.
      const pausing = running.pause().catch((error) => error);
      await sleep(20);
      await restartServer();
      await pausing;
      await assertHolds(await Sandbox.connect(running.sandboxId), 'one');
      for (const { snapshotId } of [usable, kept]) await Sandbox.deleteSnapshot(snapshotId);
    });
  });
});
