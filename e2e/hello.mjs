// A first sandbox, with E2B's own client. Wants the environment that `./cube env` prints.
import { Sandbox } from '@e2b/code-interpreter';

const started = performance.now();
const sandbox = await Sandbox.create({ timeoutMs: 60_000 });
try {
  console.log(`sandbox ${sandbox.sandboxId} created in ${Math.round(performance.now() - started)} ms`);

  const kernel = await sandbox.commands.run('uname -sr');
  console.log(`its kernel: ${kernel.stdout.trim()}`);

  const execution = await sandbox.runCode(`
import numpy
print("Hello from a microVM of your own")
int(numpy.arange(10).sum())
`);
  if (execution.error) throw new Error(execution.error.traceback);
  process.stdout.write(execution.logs.stdout.join(''));
  console.log(`numpy says: ${execution.text}`);
} finally {
  await sandbox.kill();
}
