import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withSandboxes } from './support.mjs';

const RANDOM = `
import json, os, random, uuid, numpy
from numpy import random as numpy_random
json.dumps([os.urandom(8).hex(), random.random(), float(numpy_random.random()), float(numpy.random.default_rng().random()),
 str(uuid.uuid4())])
`;

describe('sandboxes of one template', () => {
  test('have nothing random in common', () => withSandboxes(3, async (...sandboxes) => {
    const seen = await Promise.all(sandboxes.map(async (sandbox) => {
      const code = await sandbox.runCode(RANDOM);
      assert.equal(code.error, undefined, code.error?.traceback);
      const shell = await sandbox.commands.run(
        'hostname; cat /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1;'
        + ' python3 -c "import random; print(random.random())"; echo $RANDOM$RANDOM$RANDOM');
      return [...JSON.parse(code.text), ...shell.stdout.trim().split('\n')];
    }));
    assert.equal(seen[0].length, 10);
    for (let i = 0; i < seen[0].length; i++) {
      assert.equal(new Set(seen.map((values) => values[i])).size, seen.length,
        `value ${i} differs: ${seen.map((values) => values[i]).join(' ')}`);
    }
  }));

  test('agree with the clock of the host', () => withSandboxes(2, async (...sandboxes) => {
    for (const sandbox of sandboxes) {
      await sandbox.runCode('import time');
      // The tightest of several bounds: the guest's time was read at some moment of the round trip.
      let best = { roundTrip: Infinity };
      for (let i = 0; i < 20; i++) {
        const sent = performance.timeOrigin + performance.now();
        const { text } = await sandbox.runCode('time.time()');
        const roundTrip = performance.timeOrigin + performance.now() - sent;
        if (roundTrip < best.roundTrip) best = { roundTrip, offset: Number(text) * 1000 - (sent + roundTrip / 2) };
      }
      assert.ok(Math.abs(best.offset) <= 50 + best.roundTrip / 2,
        `the guest is off by ${best.offset.toFixed(1)} ms, measured within ${best.roundTrip.toFixed(1)} ms`);
    }
  }));

  test('do not see each other', () => withSandboxes(2, async (one, other) => {
    await one.files.write('/home/user/mine', 'x');
    await one.runCode('secret = 1');
    assert.equal(await other.files.exists('/home/user/mine'), false);
    assert.equal((await other.runCode('secret')).error?.name, 'NameError');
  }));
});
