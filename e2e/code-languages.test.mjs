import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { InvalidArgumentError, Sandbox, SandboxError, TimeoutError } from '@e2b/code-interpreter';
import { templateId, withSandboxes } from './support.mjs';

describe('code in other languages', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  const js = (code, options) => sandbox.runCode(code, { language: 'js', ...options });
  const bash = (code, options) => sandbox.runCode(code, { language: 'bash', ...options });

  test('JavaScript has values, state and a working directory', async () => {
    assert.equal((await js('let x = 40; x + 2')).text, '42');
    assert.equal((await js('let x = 1; x')).text, '1');
    assert.equal((await js('process.cwd()')).text, '/home/user');
    assert.equal((await js("await Promise.resolve('Hello World!')")).text, 'Hello World!');
  });

  test('JavaScript imports and prints', async () => {
    const execution = await js("import { readFileSync } from 'fs'\nconsole.log(typeof readFileSync)\nconsole.error('err')");
    assert.deepEqual(execution.logs, { stdout: ['function\n'], stderr: ['err\n'] });
  });

  test('JavaScript fails with name, message and stack', async () => {
    const seen = [];
    const { error } = await js("throw new TypeError('bad')", { onError: (one) => seen.push(one.name) });
    assert.deepEqual([error.name, error.value, seen], ['TypeError', 'bad', ['TypeError']]);
    assert.match(error.traceback, /^TypeError: bad/);
  });

  test('Bash keeps variables, functions and directory', async () => {
    assert.equal((await bash('pwd')).logs.stdout.join(''), '/home/user\n');
    await bash('x=1; f() { echo "f $x"; }; cd /tmp');
    const execution = await bash('f; pwd; echo err >&2');
    assert.deepEqual([execution.logs.stdout.join(''), execution.logs.stderr.join('')], ['f 1\n/tmp\n', 'err\n']);
    assert.equal((await bash('false')).error.value, '1');
  });

  test('variables last for one run', async () => {
    const envs = { CUBE_E2E: 'given' };
    assert.equal((await js('process.env.CUBE_E2E', { envs })).text, 'given');
    assert.equal((await js('process.env.CUBE_E2E')).text, undefined);
    assert.equal((await bash('echo [$CUBE_E2E]', { envs })).logs.stdout.join(''), '[given]\n');
    assert.equal((await bash('echo [$CUBE_E2E]')).logs.stdout.join(''), '[]\n');
    assert.equal((await sandbox.runCode("import os; os.environ['CUBE_E2E']", { envs })).text, 'given');
    assert.equal((await sandbox.runCode("'CUBE_E2E' in os.environ")).text, 'False');
  });

  test('a language that the image lacks is refused', async () => {
    for (const language of ['r', 'java', 'cobol']) {
      await assert.rejects(sandbox.createCodeContext({ language }), SandboxError);
      await assert.rejects(sandbox.runCode('1', { language }), SandboxError);
    }
  });

  test('a context and a language are too much', async () => {
    const context = await sandbox.createCodeContext({ language: 'bash', cwd: '/' });
    assert.equal(context.language, 'bash');
    assert.equal((await sandbox.runCode('pwd', { context })).logs.stdout.join(''), '/\n');
    await assert.rejects(sandbox.runCode('1', { context, language: 'bash' }), InvalidArgumentError);
    await sandbox.removeCodeContext(context);
  });

  test('the default contexts are listed', async () => {
    const languages = (await sandbox.listCodeContexts()).map(({ language }) => language);
    assert.ok(languages.includes('python') && languages.includes('javascript'), languages.join());
  });

  test('a run that takes too long is interrupted, and the next one works', async () => {
    await bash('kept=1');
    await assert.rejects(bash('sleep 100', { timeoutMs: 500 }), TimeoutError);
    assert.equal((await bash('echo $kept')).logs.stdout.join(''), '1\n');
    await assert.rejects(js('while (true) {}', { timeoutMs: 500 }), TimeoutError);
    assert.equal((await js('1 + 1')).text, '2');
    await assert.rejects(sandbox.runCode('while True: pass', { timeoutMs: 500 }), TimeoutError);
    assert.equal((await sandbox.runCode('1 + 1')).text, '2');
  });

  test('a directory that is not there is refused', async () => {
    await assert.rejects(sandbox.createCodeContext({ cwd: '/no/such' }), SandboxError);
  });
});

test('contexts share no random numbers, and neither do sandboxes', () => withSandboxes(2, async (...sandboxes) => {
  const draw = 'import random, uuid, numpy, os\n(random.random(), float(numpy.random.rand()), str(uuid.uuid4()), os.urandom(4).hex())';
  const drawn = [];
  for (const sandbox of sandboxes) {
    const contexts = [await sandbox.createCodeContext(), await sandbox.createCodeContext()];
    drawn.push((await sandbox.runCode(draw)).text);
    for (const context of contexts) drawn.push((await sandbox.runCode(draw, { context })).text);
  }
  const numbers = drawn.flatMap((tuple) => tuple.slice(1, -1).split(/,\s*/));
  assert.equal(numbers.length, 24);
  assert.equal(new Set(numbers).size, numbers.length);
}));

test('a secure sandbox wants its token for code', () => withSandboxes(1, async (sandbox) => {
  const url = `https://${sandbox.getHost(49999)}`;
  const post = async (path, headers) => {
    const response = await fetch(url + path, { method: 'POST', body: '{"code":"1"}',
      headers: { 'content-type': 'application/json', ...headers } });
    await response.text();
    return response.status;
  };
  assert.equal(await post('/execute', {}), 401);
  assert.equal(await post('/execute', { 'x-access-token': 'wrong' }), 401);
  assert.equal(await post('/contexts', { 'x-access-token': 'wrong' }), 401);
  assert.equal((await sandbox.runCode('1')).text, '1');
  assert.equal((await sandbox.createCodeContext()).language, 'python');
}, { secure: true }));
