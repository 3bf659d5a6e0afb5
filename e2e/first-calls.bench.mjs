// What `cube-bench first-command` measures, by E2B's own client: node first-calls.bench.mjs [SANDBOXES [PAUSE]], 100 unless
// told, and as many milliseconds between one sandbox and the next. Percentiles are in milliseconds; each sandbox is new, and
// its services have host names of their own.
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from '@e2b/code-interpreter';
import { templateId } from './support.mjs';

const WARM_UP = 10;
const number = Number(process.argv[2] ?? 100);
const pause = Number(process.argv[3] ?? 0);
const times = { created: [], 'first answer': [], 'first command': [], 'first code': [] };

async function timed(name, action) {
  const begin = performance.now();
  const result = await action();
  times[name].push(performance.now() - begin);
  return result;
}

for (let i = -WARM_UP; i < number; i++) {
  if (i === 0) Object.values(times).forEach((list) => list.splice(0));
  // Commands and code in sandboxes of their own, so that neither is the other's warm-up.
  for (const [name, action] of [
    ['first command', (sandbox) => sandbox.commands.run('true')],
    ['first code', (sandbox) => sandbox.runCode('1+1')],
  ]) {
    await sleep(pause);
    const sandbox = await timed('created', () => Sandbox.create(templateId));
    try {
      await timed('first answer', () => sandbox.files.exists('/'));
      await timed(name, () => action(sandbox));
    } finally {
      await sandbox.kill();
    }
  }
}

for (const [name, list] of Object.entries(times)) {
  list.sort((a, b) => a - b);
  const at = (part) => list[Math.ceil(part * list.length) - 1].toFixed(1);
  console.log(`${name.padEnd(13)}  n ${list.length}  P50 ${at(0.5)}  P90 ${at(0.9)}  P99 ${at(0.99)}`);
}
