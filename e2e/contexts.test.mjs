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

test('a context that dies, or is ended from elsewhere, says so to whoever runs code in it', () => withSandboxes(1, async (sandbox) => {
  const restarted = { name: 'ContextRestarting', value: 'Context was restarted', traceback: '' };
  for (const death of ['import os; os._exit(3)', 'import os; os.kill(os.getpid(), 9)']) {
    await sandbox.runCode('x = 1');
    assert.deepEqual({ ...(await sandbox.runCode(death)).error }, restarted);
    assert.equal((await sandbox.runCode('x')).error.name, 'NameError', 'it begins anew');
    assert.equal((await sandbox.runCode('1 + 1')).text, '2');
  }
  for (const end of [sandbox.restartCodeContext, sandbox.removeCodeContext]) {
    const context = await sandbox.createCodeContext();
    let run;
    await new Promise((started) => {
      run = sandbox.runCode('import time\nprint("started", flush=True)\ntime.sleep(1000)', { context, onStdout: started });
    });
    await end.call(sandbox, context);
    assert.equal((await run).error.name, 'ContextRestarting');
  }
}));
