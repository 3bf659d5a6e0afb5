import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withSandboxes } from './support.mjs';

test('contexts of code are made, listed, restarted and removed', () => withSandboxes(1, async (sandbox) => {
  const context = await sandbox.createCodeContext({ cwd: '/tmp' });
  assert.deepEqual([context.language, context.cwd], ['python', '/tmp']);
  assert.ok((await sandbox.listCodeContexts()).some(({ id }) => id === context.id));

  await sandbox.runCode('x = 1', { context });
  assert.equal((await sandbox.runCode('x', { context })).text, '1');
  assert.equal((await sandbox.runCode('x')).error.name, 'NameError');
  await sandbox.restartCodeContext(context);
  assert.equal((await sandbox.runCode('x', { context })).error.name, 'NameError');

  await sandbox.removeCodeContext(context);
  assert.ok(!(await sandbox.listCodeContexts()).some(({ id }) => id === context.id));
  for (const call of [sandbox.restartCodeContext, sandbox.removeCodeContext, (id) => sandbox.runCode('1', { context: { id } })]) {
    await assert.rejects(call.call(sandbox, context.id), /404|not found/i);
  }
}));
