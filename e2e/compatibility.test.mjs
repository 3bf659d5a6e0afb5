// docs/compatibility.md against what the clients can call, and against the server.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { surface } from './surface.mjs';
import { withSandboxes } from './support.mjs';

const states = ['works', 'differs', 'not yet', 'no'];

/** Item to state, from all rows of the tables whose second cell is a state. */
async function table() {
  const document = await readFile(new URL('../docs/compatibility.md', import.meta.url), 'utf8');
  const rows = new Map();
  for (const line of document.split('\n')) {
    const [, items, state] = /^\| (`.*`) \| ([^|]*?) \|/.exec(line) ?? [];
    if (!items) continue;
    assert.ok(states.includes(state), `'${state}' is not a state: ${line}`);
    for (const [, item] of items.matchAll(/`([^`]+)`/g)) {
      assert.ok(!rows.has(item), `${item} is in two rows`);
      rows.set(item, state);
    }
  }
  return rows;
}

const served = (state) => state === 'works' || state === 'differs';
const className = (method) => method.split(/[.#]/)[0];

describe('docs/compatibility.md', async () => {
  const rows = await table();
  const lists = await surface();
  const stateOf = (item) => rows.get(item) ?? rows.get(className(item));

  test('knows what the clients can call', () => {
    // What the lists are read from may change its form: then they would be empty.
    for (const [item, list] of Object.entries({
      'POST /v2/sandboxes': 'REST routes', 'POST /files': 'envd routes', 'POST /execute': 'interpreter routes',
      'process.Process/Start': 'envd procedures', 'filesystem.Filesystem/WatchDir': 'envd procedures',
      'Sandbox.create': 'methods', 'Sandbox.kill': 'methods', 'Sandbox#runCode': 'methods', 'Git#clone': 'methods',
      'SandboxPaginator#hasNext': 'methods', 'Commands#run': 'methods', 'CommandHandle#wait': 'methods',
    })) assert.ok(lists[list].includes(item), `${item} is not among the ${list} that were found`);
  });

  for (const [name, items] of Object.entries(lists)) {
    test(`has all ${name}`, () => {
      assert.deepEqual(items.filter((item) => !stateOf(item)), []);
    });
  }

  test('names nothing that the clients do not have', () => {
    const known = new Set(Object.values(lists).flat());
    for (const method of lists.methods) known.add(className(method));
    assert.deepEqual([...rows.keys()].filter((item) => !known.has(item)), []);
  });

  test('says of REST routes what they do', async () => {
    for (const route of lists['REST routes']) {
      const [method, path] = route.split(' ');
      const response = await fetch(process.env.E2B_API_URL + path.replace(/\{\w+\}/g, 'none'), {
        method, headers: { 'x-api-key': process.env.E2B_API_KEY },
      });
      const message = response.status === 404 ? (await response.json()).message : '';
      // Another route may take a part of this one's path for a name.
      const asSaid = served(rows.get(route)) ? response.status !== 405 && !/^no such route/.test(message)
        : [404, 405].includes(response.status);
      assert.ok(asSaid, `${route}: ${rows.get(route)}, but answers ${response.status} ${message}`);
    }
  });

  test('says of envd\'s and the interpreter\'s routes what they do', () => withSandboxes(1, async (sandbox) => {
    const ask = (port, method, path, type) => fetch(`https://${sandbox.getHost(port)}${path}`, {
      method, headers: { 'x-access-token': sandbox.envdAccessToken, ...type && { 'content-type': type } },
      ...method === 'POST' && { body: '{}' },
    });
    for (const [list, port] of [['envd procedures', 49983], ['envd routes', 49983], ['interpreter routes', 49999]]) {
      for (const route of lists[list]) {
        const [method, path] = route.includes(' ') ? route.split(' ') : ['POST', `/${route}`];
        const response = await ask(port, method, path.replace(/\{\w+\}/g, 'none'), 'application/json');
        const text = await response.text();
        const unknown = response.status === 405
          || response.status === 404 && /no such route|(GET|POST|DELETE) \S+ does not exist/.test(text);
        assert.equal(!unknown, served(rows.get(route)), `${route}: ${rows.get(route)}, but answers ${response.status} ${text}`);
      }
    }
  }));

  test('calls nothing working that no test calls', async () => {
    const sources = (await readdir(new URL('.', import.meta.url))).filter((file) => file.endsWith('.test.mjs'));
    const text = (await Promise.all(sources.map((file) => readFile(new URL(file, import.meta.url), 'utf8')))).join('\n');
    const ours = /^(Sandbox|Filesystem|WatchHandle|Commands|CommandHandle|Pty|Git|(Sandbox|Snapshot)Paginator)[.#]/;
    const parts = { Filesystem: 'files', Commands: 'commands', Pty: 'pty', Git: 'git' };
    const untested = lists.methods.filter((method) => ours.test(method) && served(stateOf(method))).filter((method) => {
      const [, owner, kind, name] = /^(\w+)([.#])(\w+)$/.exec(method);
      const on = kind === '.' ? `\\b${owner}` : owner in parts ? `\\b${parts[owner]}` : '[a-z)\\]]';
      return !new RegExp(`${on}\\.${name}\\b`).test(text);
    });
    assert.deepEqual(untested, []);
  });
});
