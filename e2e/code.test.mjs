import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Sandbox } from '@e2b/code-interpreter';
import { templateId } from './support.mjs';

describe('code', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  test('has a value', async () => {
    const execution = await sandbox.runCode('1 + 1');
    assert.equal(execution.text, '2');
    assert.equal(execution.error, undefined);
    assert.equal(execution.results.length, 1);
    assert.equal(execution.results[0].isMainResult, true);
  });

  test('without a value has none', async () => {
    const execution = await sandbox.runCode('nothing = 1');
    assert.equal(execution.text, undefined);
    assert.deepEqual(execution.results, []);
  });

  test('prints, as it goes', async () => {
    const seen = [];
    const execution = await sandbox.runCode(
      'import sys\nprint("to out")\nprint("to err", file=sys.stderr)\nprint("ünï")', {
        onStdout: (message) => seen.push(message.line),
        onStderr: (message) => seen.push(message.line),
      });
    assert.equal(execution.logs.stdout.join(''), 'to out\nünï\n');
    assert.equal(execution.logs.stderr.join(''), 'to err\n');
    assert.equal(seen.join('').length, 'to out\nünï\nto err\n'.length);
  });

  test('streams what it prints before it ends', async () => {
    let firstAt;
    const started = performance.now();
    await sandbox.runCode('import time\nprint("early", flush=True)\ntime.sleep(2)', {
      onStdout: () => { firstAt ??= performance.now(); },
    });
    assert.ok(performance.now() - firstAt > 1000, `printed ${firstAt - started} ms after the start`);
  });

  test('that fails has its exception and traceback', async () => {
    const execution = await sandbox.runCode('def f():\n    return 1 / 0\nprint("before")\nf()');
    assert.equal(execution.error.name, 'ZeroDivisionError');
    assert.equal(execution.error.value, 'division by zero');
    assert.match(execution.error.traceback, /1 \/ 0/);
    assert.equal(execution.logs.stdout.join(''), 'before\n');
    assert.equal((await sandbox.runCode('"still there"')).text, 'still there');
  });

  test('that cannot be parsed is a SyntaxError', async () => {
    assert.equal((await sandbox.runCode('def')).error.name, 'SyntaxError');
  });

  test('keeps its state from run to run', async () => {
    await sandbox.runCode('x = 40\ndef add(y):\n    return x + y');
    assert.equal((await sandbox.runCode('add(2)')).text, '42');
  });

  test('has numpy, pandas and matplotlib', async () => {
    assert.equal((await sandbox.runCode('import numpy as np\nint(np.arange(12).reshape(3, 4).sum())')).text, '66');
    const frame = await sandbox.runCode('import pandas as pd\npd.DataFrame({"a": [1, 2], "b": [3, 4]})');
    assert.match(frame.results[0].html, /<table/);
    assert.match(frame.text, /a +b/);
    const plot = await sandbox.runCode('import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()');
    const png = plot.results.find((result) => result.png);
    assert.ok(png, 'the plot is shown as a PNG');
    assert.equal(Buffer.from(png.png, 'base64').subarray(1, 4).toString(), 'PNG');
  });

  test('shares files with commands', async () => {
    await sandbox.runCode('open("/home/user/from-code", "w").write("hello")');
    assert.equal((await sandbox.commands.run('cat /home/user/from-code')).stdout, 'hello');
  });
});
