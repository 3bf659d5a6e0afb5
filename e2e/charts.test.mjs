// What code shows, as E2B's client gives it to its user.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Sandbox } from '@e2b/code-interpreter';
import { templateId } from './support.mjs';

describe('what code shows', () => {
  let sandbox;
  before(async () => { sandbox = await Sandbox.create(templateId, { timeoutMs: 300_000 }); });
  after(() => sandbox?.kill());

  /** The chart of the one figure that is shown. */
  async function chart(code) {
    const { results, error } = await sandbox.runCode(`import matplotlib.pyplot as plt\n${code}\nplt.show()`);
    assert.equal(error, undefined, error?.traceback);
    assert.equal(results.length, 1);
    assert.ok(results[0].png, 'it is shown as a picture too');
    return results[0].chart;
  }

  test('is a line, with its axes', async () => {
    const line = await chart("plt.plot([1, 2, 3], [1, 4, 9], label='squares')\nplt.title('Growth')\n"
      + "plt.xlabel('Time (s)')\nplt.ylabel('Size')");
    assert.deepEqual([line.type, line.title, line.x_label, line.x_unit, line.y_label, line.x_scale, line.y_scale],
      ['line', 'Growth', 'Time (s)', 's', 'Size', 'linear', 'linear']);
    assert.deepEqual(line.elements, [{ label: 'squares', points: [[1, 1], [2, 4], [3, 9]] }]);
    assert.equal(line.x_ticks.length, line.x_tick_labels.length);
  });

  test('is a scatter of points', async () => {
    const scatter = await chart("plt.scatter([1, 2], [3, 4], label='a')\nplt.scatter([5], [6], label='b')");
    assert.deepEqual([scatter.type, scatter.y_scale], ['scatter', 'linear']);
    assert.deepEqual(scatter.elements, [{ label: 'a', points: [[1, 3], [2, 4]] }, { label: 'b', points: [[5, 6]] }]);
  });

  test('is bars, in groups', async () => {
    const bar = await chart("plt.bar(['x', 'y'], [1, 2], label='first')");
    assert.equal(bar.type, 'bar');
    assert.deepEqual(bar.elements.map(({ label, group, value }) => [label, group, Number(value)]),
      [['x', 'first', 1], ['y', 'first', 2]]);
  });

  test('is a pie', async () => {
    const pie = await chart("plt.pie([1, 3], labels=['p', 'q'])\nplt.title('Shares')");
    assert.deepEqual([pie.type, pie.title], ['pie', 'Shares']);
    assert.deepEqual(pie.elements, [{ label: 'p', angle: 90, radius: 1 }, { label: 'q', angle: 270, radius: 1 }]);
  });

  test('is boxes with whiskers', async () => {
    const box = await chart("plt.boxplot([[1, 2, 3, 4, 20]], tick_labels=['m'], patch_artist=True)"
      .replace('tick_labels', 'labels'));
    assert.equal(box.type, 'box_and_whisker');
    assert.deepEqual(box.elements,
      [{ label: 'm', min: 1, first_quartile: 2, median: 3, third_quartile: 4, max: 4, outliers: [20] }]);
  });

  test('is several charts in one', async () => {
    const all = await chart("figure, (a, b) = plt.subplots(1, 2)\na.plot([1, 2])\nb.bar(['x'], [1])\nfigure.suptitle('Both')");
    assert.deepEqual([all.type, all.title, all.elements.map(({ type }) => type)], ['superchart', 'Both', ['line', 'bar']]);
  });

  test('has all its forms, in the order in which it was shown', async () => {
    const seen = [];
    const execution = await sandbox.runCode(`
from IPython.display import HTML, JSON, Javascript, Latex, Markdown, SVG, display
for shown in (HTML('<b>h</b>'), Markdown('*m*'), SVG('<svg xmlns="http://www.w3.org/2000/svg"/>'), Latex('$x$'),
              JSON({'a': [1]}), Javascript('1')):
    display(shown)
display({'image/jpeg': 'AAAA', 'application/x-own': 'own'}, raw=True)
print('printed')
'end'`, { onResult: (result) => { seen.push(result); } });
    assert.equal(execution.error, undefined);
    const forms = ['html', 'markdown', 'svg', 'latex', 'json', 'javascript', 'jpeg', 'text'];
    assert.deepEqual(execution.results.map((result, i) => Boolean(result[forms[i]])), forms.map(() => true));
    const [html, markdown, svg, latex, json, javascript, jpeg, last] = execution.results;
    assert.deepEqual([html.html, markdown.markdown, latex.latex, json.json, javascript.javascript, jpeg.jpeg],
      ['<b>h</b>', '*m*', '$x$', { a: [1] }, '1', 'AAAA']);
    assert.match(svg.svg, /^<svg/);
    assert.deepEqual(jpeg.raw.extra, { 'application/x-own': 'own' });
    assert.deepEqual(execution.results.map(({ isMainResult }) => isMainResult), [...Array(7).fill(false), true]);
    assert.equal(execution.text, "end");
    assert.equal(last.text, execution.text);
    assert.deepEqual(seen, execution.results);
  });

  test('has tables as data, counts its cells, and awaits', async () => {
    const first = await sandbox.runCode("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})");
    assert.deepEqual(first.results[0].data, { a: [1, 2], b: ['x', 'y'] });
    const second = await sandbox.runCode('import asyncio\nawait asyncio.sleep(0.01, result=7)');
    assert.equal(second.text, '7');
    assert.equal(second.executionCount, first.executionCount + 1);
  });

  test('tells where it failed, as IPython does, and to whom it was to tell it', async () => {
    const told = [];
    const { error } = await sandbox.runCode('def f():\n    return {}["missing"]\nf()', { onError: (one) => { told.push(one); } });
    assert.deepEqual([error.name, error.value], ['KeyError', "'missing'"]);
    assert.match(error.traceback, /^-+KeyError +Traceback \(most recent call last\)[^]*----> 3 f\(\)\n[^]*KeyError: 'missing'$/);
    assert.deepEqual(told, [error]);
  });
});
