import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { residentMiB, serverFile, withSandboxes } from './support.mjs';

// E2B's client keeps what a command prints in one string, and V8 has none longer than 512 MiB. Eleven is prime to every
// size that a buffer has: a piece that is lost, doubled or out of order shifts the pattern.
const MEBIBYTES = Number(process.env.CUBE_TEST_OUTPUT_MIB ?? 256);
const PATTERN = '0123456789\n';

describe('a command that prints much', () => {
  test(`loses no byte of ${MEBIBYTES} MiB`, { timeout: 900_000 }, () => withSandboxes(1, async (sandbox) => {
    const expected = PATTERN.repeat(64 * 1024);
    let total = 0;
    const result = await sandbox.commands.run(`yes 0123456789 | head -c ${MEBIBYTES}M`, {
      timeoutMs: 0,
      onStdout: (text) => {
        for (let at = 0; at < text.length;) {
          const phase = (total + at) % PATTERN.length;
          const length = Math.min(text.length - at, expected.length - phase);
          assert.ok(text.startsWith(expected.slice(phase, phase + length), at), `wrong within byte ${total + at}`);
          at += length;
        }
        total += text.length;
      },
    });
    assert.equal(total, MEBIBYTES * 2 ** 20);
    assert.equal(result.stdout.length, total);
  }, { timeoutMs: 1_200_000 }));

  test('does not grow the server while nobody reads', { timeout: 300_000 }, async (t) => {
    const server = await serverFile();
    if (!server) return t.skip('the server is not on this machine');
    await withSandboxes(1, async (sandbox) => {
      const before = await residentMiB(server.pid);
      let release;
      const hold = new Promise((resolve) => { release = resolve; });
      const command = await sandbox.commands.run('yes 0123456789 | head -c 128M', {
        background: true, timeoutMs: 0, onStdout: () => hold,
      });
      await new Promise((resolve) => { setTimeout(resolve, 5_000); });
      const grown = await residentMiB(server.pid) - before;
      release();
      assert.equal((await command.wait()).stdout.length, 128 * 2 ** 20);
      assert.ok(grown < 96, `the server grew by ${grown} MiB`);
    });
  });
});
