import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { ALL_TRAFFIC, NotFoundError, Sandbox as PlainSandbox, SandboxError, SandboxNotFoundError, TimeoutError } from 'e2b';
import { Sandbox } from '@e2b/code-interpreter';
import { eventually, listAll, serverFile, templateId, withSandboxes } from './support.mjs';

describe('a sandbox', () => {
  test('is created, described and killed', () => withSandboxes(1, async (sandbox) => {
    assert.equal(await sandbox.isRunning(), true);
    const info = await sandbox.getInfo();
    assert.equal(info.sandboxId, sandbox.sandboxId);
    assert.equal(info.templateId, templateId);
    assert.equal(info.state, 'running');
    assert.equal(info.cpuCount, 2);
    assert.equal(info.memoryMB, 2048);
    assert.ok(info.endAt > info.startedAt);

    assert.equal(await sandbox.kill(), true);
    assert.equal(await sandbox.isRunning(), false);
    assert.equal(await Sandbox.kill(sandbox.sandboxId), false);
    await assert.rejects(Sandbox.getInfo(sandbox.sandboxId), NotFoundError);
    await assert.rejects(Sandbox.connect(sandbox.sandboxId), NotFoundError);
  }));

  test('comes from the templates that the clients ask for by themselves', async () => {
    const interpreter = await Sandbox.create({ timeoutMs: 60_000 });
    const plain = await PlainSandbox.create({ timeoutMs: 60_000 });
    try {
      assert.equal((await interpreter.getInfo()).templateId, templateId);
      assert.equal((await plain.getInfo()).templateId, templateId);
    } finally {
      await Promise.all([interpreter.kill(), plain.kill()]);
    }
  });

  test('is refused for an unknown template', async () => {
    await assert.rejects(Sandbox.create('no-such-template'), (error) => {
      assert.ok(error instanceof SandboxError);
      assert.match(error.message, /404/);
      assert.match(error.message, /no-such-template/);
      return true;
    });
  });

  test('is refused to a malformed request, with the field named', async () => {
    const post = (body) => fetch(`${process.env.E2B_API_URL}/sandboxes`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': process.env.E2B_API_KEY },
      body,
    });
    for (const [body, field] of [
      ['{"templateID":', ''],
      ['{"templateID":7.5e300}', 'templateID'],
      [JSON.stringify({ templateID: templateId, timeout: 'soon' }), 'timeout'],
      [JSON.stringify({ templateID: templateId, timeout: -1 }), 'timeout'],
      [JSON.stringify({ timeout: 10 }), 'templateID'],
      [JSON.stringify({ templateID: templateId, metadata: [1] }), 'metadata'],
    ]) {
      const response = await post(body);
      const { code, message } = await response.json();
      assert.equal(response.status, 400, body);
      assert.equal(code, 400);
      assert.ok(message.includes(field), `${body}: ${message}`);
    }
  });

  test('is found by its metadata', async () => {
    const run = randomUUID();
    await withSandboxes(3, async (...sandboxes) => {
      const found = await listAll({ query: { metadata: { run, 'odd name & value': 'a=b c/é' } }, limit: 2 });
      assert.deepEqual(new Set(found.map((info) => info.sandboxId)), new Set(sandboxes.map((s) => s.sandboxId)));
      assert.equal(found[0].metadata.run, run);
      assert.equal(found[0].metadata['odd name & value'], 'a=b c/é');
      assert.deepEqual(await listAll({ query: { metadata: { run: randomUUID() } } }), []);
      assert.deepEqual(await listAll({ query: { metadata: { run }, state: ['paused'] } }), []);
      assert.equal((await listAll({ query: { metadata: { run }, state: ['running'] } })).length, 3);
    }, { metadata: { run, 'odd name & value': 'a=b c/é' } });
  });

  test('is listed in either order, by when it started and what it was made from', async () => {
    const run = randomUUID();
    const query = { metadata: { run } };
    const ids = async (options) => (await listAll(options)).map((info) => info.sandboxId);
    await withSandboxes(1, (first) => withSandboxes(1, async (second) => {
      const { startedAt } = await second.getInfo();
      assert.deepEqual(await ids({ query }), [second.sandboxId, first.sandboxId]);
      assert.deepEqual(await ids({ query, order: 'asc', limit: 1 }), [first.sandboxId, second.sandboxId]);
      assert.deepEqual(await ids({ query: { ...query, startedAfter: startedAt } }), [second.sandboxId]);
      assert.deepEqual((await ids({ query: { ...query, template: templateId } })).length, 2);
      assert.deepEqual((await ids({ query: { ...query, template: 'base' } })).length, 2);
      assert.deepEqual(await ids({ query: { ...query, template: 'no-such-template' } }), []);

      const pages = Sandbox.list({ query, limit: 1 });
      assert.equal((await pages.nextItems()).length, 1);
      assert.equal(pages.hasNext, true);
      const rest = Sandbox.list({ query, nextToken: pages.nextToken });
      assert.deepEqual((await rest.nextItems()).map((info) => info.sandboxId), [first.sandboxId]);
      assert.equal(rest.hasNext, false);
      await assert.rejects(rest.nextItems(), /No more items/);
    }, { metadata: { run } }), { metadata: { run } });
    for (const wrong of [{ order: 'up' }, { limit: 1000 }, { nextToken: '!' }, { query: { state: ['dead'] } }]) {
      await assert.rejects(Sandbox.list(wrong).nextItems(), (error) => error instanceof SandboxError && /400/.test(error.message));
    }
  });

  test('that is not there is reported so by each call', async () => {
    const gone = await withSandboxes(1, async (sandbox) => sandbox);
    const id = gone.sandboxId;
    assert.equal(await gone.isRunning(), false);
    assert.equal(await gone.kill(), false);
    assert.equal(await Sandbox.kill(id), false);
    for (const call of [() => Sandbox.getInfo(id), () => gone.getInfo(), () => Sandbox.getFullInfo(id),
      () => Sandbox.getMetrics(id), () => gone.getMetrics(), () => Sandbox.setTimeout(id, 1000), () => gone.setTimeout(1000),
      () => Sandbox.updateNetwork(id, {}), () => gone.updateNetwork({}), () => Sandbox.connect(id), () => gone.connect()]) {
      await assert.rejects(call, SandboxNotFoundError, String(call));
    }
  });

  test('that is not there is reported so by each way into it', async () => {
    const gone = await withSandboxes(1, async (sandbox) => sandbox);
    const { files, commands, pty, git } = gone;
    // Which of its two errors the client makes of the same answer depends on the method.
    const notThere = (error) => error instanceof SandboxNotFoundError
      || (error instanceof TimeoutError && error.message.includes('The sandbox was not found'));
    for (const call of [() => files.read('/etc/passwd'), () => files.read('/etc/passwd', { format: 'stream' }),
      () => files.write('/tmp/x', 'x'), () => files.writeFiles([{ path: '/tmp/x', data: 'x' }]), () => files.list('/'),
      () => files.exists('/'), () => files.getInfo('/'), () => files.makeDir('/tmp/d'), () => files.rename('/tmp/a', '/tmp/b'),
      () => files.remove('/tmp/x'), () => files.watchDir('/tmp', () => {}),
      () => commands.run('true'), () => commands.list(), () => commands.kill(1), () => commands.connect(1),
      () => commands.sendStdin(1, 'x'), () => commands.closeStdin(1),
      () => pty.create({ cols: 80, rows: 24, onData: () => {} }), () => pty.connect(1), () => pty.kill(1),
      () => pty.sendInput(1, new Uint8Array(1)), () => pty.resize(1, { cols: 80, rows: 24 }),
      () => git.status('/'),
      () => gone.runCode('1'), () => gone.createCodeContext(), () => gone.listCodeContexts(),
      () => gone.restartCodeContext('id'), () => gone.removeCodeContext('id')]) {
      await assert.rejects(call, notThere, String(call));
    }
  });

  test('has its timeout set and only extended by whoever connects', () => withSandboxes(1, async (sandbox) => {
    const left = async () => (await sandbox.getInfo()).endAt - Date.now();
    await Sandbox.setTimeout(sandbox.sandboxId, 100_000);
    assert.ok(await left() < 101_000);
    assert.equal(await sandbox.connect({ timeoutMs: 10_000 }), sandbox);
    assert.ok(await left() > 60_000);
    await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 500_000 });
    assert.ok(await left() > 400_000);
    await assert.rejects(sandbox.setTimeout(25 * 3600_000), (error) => error instanceof SandboxError && /400/.test(error.message));
    await assert.rejects(Sandbox.connect(sandbox.sandboxId, { timeoutMs: -1000 }), SandboxError);
  }));

  test('says what it uses', () => withSandboxes(1, async (sandbox) => {
    await sandbox.commands.run('head -c 20000000 /dev/urandom > /home/user/random; sync');
    // Figures of the second before, without the file, may be told once more.
    const metrics = await eventually(async () => {
      const last = (await sandbox.getMetrics()).at(-1);
      return last.diskUsed > 2e7 && last;
    }, 'the file is in the figures');
    assert.equal(metrics.cpuCount, 2);
    assert.ok(metrics.cpuUsedPct >= 0 && metrics.cpuUsedPct <= 100);
    assert.ok(metrics.memTotal > 1.8e9 && metrics.memUsed > 1e7 && metrics.memUsed < metrics.memTotal);
    assert.ok(metrics.memCache > 1e6);
    assert.ok(metrics.diskUsed < metrics.diskTotal);
    assert.ok(Math.abs(metrics.timestamp - Date.now()) < 60_000);
    assert.deepEqual(await Sandbox.getMetrics(sandbox.sandboxId, { end: new Date(Date.now() - 3600_000) }), []);

    const response = await fetch(`${process.env.E2B_API_URL}/sandboxes/metrics?sandbox_ids=${sandbox.sandboxId},none`,
      { headers: { 'x-api-key': process.env.E2B_API_KEY } });
    assert.deepEqual(Object.keys((await response.json()).sandboxes), [sandbox.sandboxId]);
  }));

  test('has a log', () => withSandboxes(1, async (sandbox) => {
    const ask = async (path, id = sandbox.sandboxId) => {
      const response = await fetch(`${process.env.E2B_API_URL}${path.replace('ID', id)}`, { headers: { 'x-api-key': process.env.E2B_API_KEY } });
      return response.ok ? response.json() : response.status;
    };
    await sandbox.commands.run('exit 3').catch(() => {});
    const { logs, logEntries } = await ask('/sandboxes/ID/logs');
    assert.equal(logs.length, logEntries.length);
    const lines = logs.map(({ line }) => JSON.parse(line));
    assert.ok(lines.some(({ logger, message }) => logger === 'system' && message.startsWith('created')));
    assert.ok(lines.some(({ logger, event_type: type, status }) => logger === 'process'
      && type === 'process_end' && status === 'exit status 3'));
    assert.deepEqual((await ask(`/sandboxes/ID/logs?start=${Date.parse(logs.at(-1).timestamp) + 1}`)).logs, []);

    const { logs: [newest, next] } = await ask('/v2/sandboxes/ID/logs?level=info&limit=2');
    assert.equal(newest.fields.logger, 'process');
    assert.ok(newest.timestamp > next.timestamp);
    assert.deepEqual((await ask(`/v2/sandboxes/ID/logs?level=info&limit=1&cursor=${Date.parse(newest.timestamp)}`)).logs, [next]);
    assert.deepEqual((await ask('/v2/sandboxes/ID/logs?level=error')).logs, []);
    await sandbox.kill();
    assert.match((await ask('/v2/sandboxes/ID/logs?limit=1')).logs[0].message, /^ended/);
    assert.equal(await ask('/v2/sandboxes/ID/logs', 'no-such-sandbox'), 404);
  }));

  test('is paused and goes on where it was', () => withSandboxes(1, async (sandbox) => {
    await sandbox.commands.run('echo kept > /home/user/kept; sleep 1000', { background: true });
    await eventually(() => sandbox.files.exists('/home/user/kept'), 'the command runs');
    assert.equal(await sandbox.pause(), true);
    assert.equal(await sandbox.betaPause(), false);
    assert.equal(await Sandbox.pause(sandbox.sandboxId), false);
    assert.equal(await Sandbox.betaPause(sandbox.sandboxId), false);
    assert.equal((await Sandbox.getInfo(sandbox.sandboxId)).state, 'paused');
    assert.equal(await sandbox.isRunning(), false);
    await assert.rejects(sandbox.commands.run('true'), SandboxNotFoundError);
    await assert.rejects(sandbox.files.read('/home/user/kept'), TimeoutError);
    assert.deepEqual((await listAll({ query: { state: ['paused'] } })).map((info) => info.sandboxId)
      .filter((id) => id === sandbox.sandboxId), [sandbox.sandboxId]);
    await Sandbox.getMetrics(sandbox.sandboxId);
    await sandbox.connect();
    assert.equal((await sandbox.getInfo()).state, 'running');
    assert.equal(await sandbox.files.read('/home/user/kept'), 'kept\n');
    assert.ok((await sandbox.commands.list()).some((command) => command.args.join(' ').includes('sleep 1000')));
    for (const call of [Sandbox.pause, Sandbox.betaPause, Sandbox.createSnapshot, Sandbox.fork]) {
      await assert.rejects(call.call(Sandbox, 'no-such-sandbox'), SandboxNotFoundError);
    }
  }));

  test('boots anew where its memory was not kept', () => withSandboxes(1, async (sandbox) => {
    await sandbox.runCode('kept = "in memory"');
    // More than the kernel writes back by itself in the time.
    await sandbox.commands.run('head -c 32M /dev/urandom > data; sha256sum data > sum; rm /etc/debian_version', { user: 'root' });
    await sandbox.commands.run('echo kept > /dev/shm/kept; sleep 1000', { background: true });
    await eventually(() => sandbox.files.exists('/dev/shm/kept'), 'the command runs');
    const sleeps = async () => (await sandbox.commands.list()).some((command) => command.args.join(' ').includes('sleep 1000'));
    const snapshot = await sandbox.createSnapshot();
    await sandbox.files.write('/home/user/later', 'after the snapshot');
    assert.equal(await sandbox.pause({ keepMemory: false }), true);
    assert.equal(await sandbox.pause({ keepMemory: false }), false);
    assert.equal((await Sandbox.getInfo(sandbox.sandboxId)).state, 'paused');

    await sandbox.connect();
    assert.deepEqual([await sleeps(), await sandbox.files.exists('/dev/shm/kept')], [false, false]);
    assert.equal(await sandbox.files.read('/home/user/later'), 'after the snapshot');
    await sandbox.commands.run('sha256sum -c sum; test ! -e /etc/debian_version', { user: 'root' });
    assert.equal((await sandbox.commands.run('echo $MINE $(hostname)')).stdout, `given ${sandbox.sandboxId}\n`);
    assert.equal((await sandbox.runCode('kept')).error.name, 'NameError');
    assert.equal((await sandbox.runCode('import os; os.environ["MINE"]')).text, 'given');

    const [fork] = await Sandbox.fork(sandbox.sandboxId, { timeoutMs: 60_000 });
    assert.equal(await fork.files.read('/home/user/later'), 'after the snapshot');
    await fork.kill();
    const rolledBack = await fetch(`${process.env.E2B_API_URL}/sandboxes/${sandbox.sandboxId}/rollback`, {
      method: 'POST', body: JSON.stringify({ snapshotID: snapshot.snapshotId }),
      headers: { 'x-api-key': process.env.E2B_API_KEY, 'content-type': 'application/json' } });
    assert.equal(rolledBack.status, 200);
    assert.deepEqual([await sleeps(), await sandbox.files.exists('/dev/shm/kept')], [true, true]);
    assert.equal(await sandbox.files.exists('/home/user/later'), false);
    assert.equal((await sandbox.runCode('kept')).text, 'in memory');
    await Sandbox.deleteSnapshot(snapshot.snapshotId);
  }, { envs: { MINE: 'given' } }));

  test('is paused at its end without its memory, and is not woken by traffic', () => withSandboxes(1, async (sandbox) => {
    await sandbox.runCode('kept = 1');
    await eventually(async () => (await Sandbox.getInfo(sandbox.sandboxId)).state === 'paused', 'it is paused');
    assert.equal(await sandbox.isRunning(), false);
    await sandbox.connect({ timeoutMs: 60_000 });
    assert.equal((await sandbox.runCode('kept')).error.name, 'NameError');
  }, { timeoutMs: 2_000, lifecycle: { onTimeout: { action: 'pause', keepMemory: false } } }));

  test('is forked, and made again from its snapshots, by its ID alone', () => withSandboxes(1, async (sandbox) => {
    const id = sandbox.sandboxId;
    const [fork] = await Sandbox.fork(id, { timeoutMs: 60_000 });
    assert.ok(fork instanceof Sandbox);
    await fork.kill();
    const { snapshotId } = await Sandbox.createSnapshot(id);
    const pages = Sandbox.listSnapshots({ sandboxId: id, limit: 1 });
    assert.deepEqual((await pages.nextItems()).map((found) => found.snapshotId), [snapshotId]);
    assert.deepEqual([pages.hasNext, pages.nextToken], [false, undefined]);
    assert.equal(await Sandbox.deleteSnapshot(snapshotId), true);
    assert.equal(await Sandbox.deleteSnapshot(snapshotId), false);
    await assert.rejects(Sandbox.create(snapshotId), (error) => error instanceof SandboxError && /404/.test(error.message));
  }));

  test('keeps what it may connect to, and has it replaced', async () => {
    const network = {
      allowOut: ['example.com', '8.8.8.0/24'], denyOut: ({ allTraffic }) => [allTraffic],
      rules: { 'example.com': [{ transform: { headers: { 'X-Key': 'secret' } } }] },
      egressProxy: { address: 'proxy.example.com:1080', username: 'me', password: 'hidden' },
    };
    await withSandboxes(1, async (sandbox) => {
      const before = await sandbox.getInfo();
      assert.equal(before.allowInternetAccess, false);
      assert.deepEqual(before.network.allowOut, network.allowOut);
      assert.deepEqual(before.network.denyOut, [ALL_TRAFFIC]);
      assert.deepEqual(before.network.rules, network.rules);
      assert.deepEqual(before.network.egressProxy, { address: 'proxy.example.com:1080', username: 'me' });

      await sandbox.updateNetwork({ denyOut: ['1.1.1.1'] });
      const after = await Sandbox.getFullInfo(sandbox.sandboxId);
      assert.deepEqual([after.network.allowOut, after.network.denyOut, after.network.rules, after.network.egressProxy],
        [undefined, ['1.1.1.1'], undefined, undefined]);
      assert.equal(after.allowInternetAccess, false);
      await Sandbox.updateNetwork(sandbox.sandboxId, { allowInternetAccess: true });
      assert.equal((await sandbox.getInfo()).allowInternetAccess, true);
      for (const wrong of [{ denyOut: ['example.com'] }, { allowOut: ['example.com'] }]) {
        await assert.rejects(sandbox.updateNetwork(wrong), (error) => error instanceof SandboxError && /400: field/.test(error.message));
      }
    }, { network, allowInternetAccess: false });
    await withSandboxes(1, async (sandbox) => {
      const info = await sandbox.getInfo();
      assert.equal(info.network, undefined);
      assert.equal(info.allowInternetAccess, undefined);
    });
  });

  test('is refused where it asks for what is not there, with the field named', async () => {
    for (const [options, field] of [
      [{ mcp: { exa: { apiKey: 'x' } } }, 'mcp'],
      [{ iam: { tokens: { a: { audience: 'b', tokenType: 'JWT-SVID' } } } }, 'iam'],
      [{ volumeMounts: { '/mnt': 'volume' } }, 'volumeMounts'],
      [{ network: { httpsPorts: [49983] } }, 'network.httpsPorts'],
      [{ network: { maskRequestHost: 'a b' } }, 'network.maskRequestHost'],
    ]) {
      await assert.rejects(Sandbox.create(templateId, options), (error) => {
        assert.ok(error instanceof SandboxError, String(error));
        assert.match(error.message, new RegExp(`400: field '${field}'`));
        return true;
      });
    }
  });

  test('gives out URLs for files that need nothing else', () => withSandboxes(1, async (sandbox) => {
    const form = new FormData();
    form.append('file', new Blob(['by url']), 'ignored');
    const upload = await fetch(await sandbox.uploadUrl('/home/user/uploaded'), { method: 'POST', body: form });
    assert.equal(upload.status, 200);
    assert.equal(await sandbox.files.read('/home/user/uploaded'), 'by url');
    const url = await sandbox.downloadUrl('/home/user/uploaded', { useSignatureExpiration: 60 });
    assert.equal(await (await fetch(url)).text(), 'by url');
    assert.equal((await fetch(url.replace('uploaded', 'other'))).status, 401);
    assert.equal((await fetch(await sandbox.downloadUrl('/home/user/uploaded', { useSignatureExpiration: -1 }))).status, 401);
    assert.equal((await fetch(await sandbox.downloadUrl('/root/x', { user: 'root' }))).status, 404);
  }));

  test('ends with its timeout', () => withSandboxes(1, async (sandbox) => {
    const before = (await sandbox.getInfo()).endAt;
    await sandbox.setTimeout(600_000);
    assert.ok((await sandbox.getInfo()).endAt > before);
    await sandbox.setTimeout(1_000);
    await eventually(async () => !(await sandbox.isRunning()), 'the sandbox ends');
    // Its ports are closed a moment before it is listed no more.
    await eventually(() => Sandbox.getInfo(sandbox.sandboxId).then(() => false, (error) => error instanceof NotFoundError),
      'the sandbox is gone');
  }));

  test('is used by a second client that only knows its ID', () => withSandboxes(1, async (sandbox) => {
    await sandbox.files.write('/home/user/note', 'left by the first');
    const second = await Sandbox.connect(sandbox.sandboxId);
    assert.equal(await second.files.read('/home/user/note'), 'left by the first');
    assert.equal((await second.runCode('40 + 2')).text, '42');
  }));

  test('gives its environment to commands and code', () => withSandboxes(1, async (sandbox) => {
    assert.equal((await sandbox.commands.run('echo $GREETING')).stdout, 'hello\n');
    assert.equal((await sandbox.runCode('import os; os.environ["GREETING"]')).text, 'hello');
    assert.equal((await sandbox.commands.run('echo $GREETING', { envs: { GREETING: 'hi' } })).stdout, 'hi\n');
  }, { envs: { GREETING: 'hello' } }));

  test('is kept from those who do not have its token', () => withSandboxes(1, async (sandbox) => {
    for (const [port, path, body] of [
      [49983, '/files?path=/etc/passwd'], [49983, '/metrics'], [49983, '/envs'], [49983, '/process.Process/List', '{}'],
      [49983, '/filesystem.Filesystem/Stat', '{"path":"/"}'], [49983, '/process.Process/Start', '{}'],
      [49999, '/execute', '{"code":"1"}'],
    ]) {
      for (const token of [undefined, 'guess']) {
        const response = await fetch(`https://${sandbox.getHost(port)}${path}`, {
          method: body ? 'POST' : 'GET', body,
          headers: { ...body && { 'content-type': 'application/json' }, ...token && { 'x-access-token': token } },
        });
        assert.equal(response.status, 401, `${port} ${path} with ${token ?? 'no token'}`);
      }
    }
    assert.equal((await fetch(`https://${sandbox.getHost(49983)}/health`)).status, 204);
  }));

  test('is reached by headers on one URL as well as by its own host name', async (t) => {
    const server = await serverFile();
    if (!server?.proxyUrl) return t.skip('the URL is in the state directory of a server on this machine');
    await withSandboxes(1, async (sandbox) => {
      const second = await Sandbox.connect(sandbox.sandboxId, { sandboxUrl: server.proxyUrl });
      assert.equal((await second.commands.run('echo by header')).stdout, 'by header\n');
      assert.equal((await second.runCode('6 * 7')).text, '42');
    });
  });
});
