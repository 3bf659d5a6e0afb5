// What the tests share. They want the environment that `./cube env` prints.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Sandbox } from '@e2b/code-interpreter';

export const templateId = process.env.CUBE_TEMPLATE_ID;
if (!templateId || !process.env.E2B_API_URL) {
  throw new Error('no server to test against: eval "$(./cube env)" first, or use ./cube test');
}

/** Runs `use` with so many new sandboxes, and kills them whatever happens. */
export async function withSandboxes(count, use, options = {}) {
  const made = await Promise.allSettled(
    Array.from({ length: count }, () => Sandbox.create(templateId, { timeoutMs: 300_000, ...options })));
  const sandboxes = made.filter((result) => result.status === 'fulfilled').map((result) => result.value);
  try {
    const failed = made.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    return await use(...sandboxes);
  } finally {
    await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
  }
}

/** Polls until `probe` gives something true, and gives that. */
export async function eventually(probe, what, withinMs = 60_000) {
  const end = Date.now() + withinMs;
  for (;;) {
    const result = await probe();
    if (result) return result;
    if (Date.now() > end) throw new Error(`${what}: not within ${withinMs} ms`);
    await sleep(100);
  }
}

/** What the server says about itself in its state directory; null if this machine has none. */
export async function serverFile() {
  if (!process.env.CUBE_HOME) return null;
  return JSON.parse(await readFile(join(process.env.CUBE_HOME, 'server.json'), 'utf8'));
}

/** Kills a server, and returns when it has ended. */
export async function killServer(pid) {
  process.kill(pid, 'SIGKILL');
  // One that waits to be reaped has no command line.
  await eventually(async () => !await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''), 'the server is dead');
}

export async function listAll(options) {
  const items = [];
  for (const paginator = Sandbox.list(options); paginator.hasNext;) items.push(...await paginator.nextItems());
  return items;
}

/** Memory of a process of this machine that is not paged out. */
export async function residentMiB(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
}
