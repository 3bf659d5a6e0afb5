'use strict';
// A JavaScript or TypeScript context of the code interpreter: one Node process. The protocol is that of kernel.py, on
// descriptors 3 (requests) and 4 (events), with two requests: "execute", and "settle" after interrupts were sent, which is
// not answered. Cells are evaluated as a console does it, by V8's inspector: declarations stay, may be made again, and
// `await` may stand anywhere. Arguments: the epoch's file, the language.

const fs = require('fs');
const path = require('path');
const util = require('util');
const vm = require('vm');
const { Writable } = require('stream');
const { StringDecoder } = require('string_decoder');
const { createRequire, isBuiltin, stripTypeScriptTypes } = require('module');
const { pathToFileURL } = require('url');
const inspector = require('inspector');

const CHUNK_CHARS = 16 * 1024;
const RESULT_CHARS = 8 * 1024 * 1024; // four bytes each at most: the host takes no line of more than 32 MiB
const FLUSH_MILLISECONDS = 5; // what is printed soon after something else waits so long
const EVENTS = 4;
const QUIET_MILLISECONDS = 20; // a thread that has been woken runs within this time
const RUN_DIRECTORY = path.dirname(process.argv[2]);
const TYPESCRIPT = process.argv[3] === 'typescript';

// ---- what a cell says ----

let running = false;
let kind = null;
let text = '';
let flushed = 0;
let timer = null;

function send(event) {
  const data = Buffer.from(JSON.stringify(event) + '\n');
  for (let at = 0; at < data.length;) at += fs.writeSync(EVENTS, data, at);
}

function flush() {
  clearTimeout(timer);
  timer = null;
  if (text === '') return;
  for (let at = 0; at < text.length; at += CHUNK_CHARS) send({ type: kind, text: text.slice(at, at + CHUNK_CHARS) });
  text = '';
  flushed = Date.now();
}

function print(stream, more) {
  if (!running || more === '') return;
  if (kind !== stream) flush();
  kind = stream;
  text += more;
  if (text.length >= CHUNK_CHARS || Date.now() - flushed >= FLUSH_MILLISECONDS) flush();
  else timer ??= setTimeout(flush, FLUSH_MILLISECONDS);
}

function streamFor(name, fd) {
  const decoder = new StringDecoder('utf8');
  const stream = new Writable();
  // In place of Writable's own, which an interrupt in the middle of a write would leave blocked for ever.
  stream.write = (chunk, encoding, done) => {
    print(name, typeof chunk === 'string' ? chunk : decoder.write(Buffer.from(chunk)));
    const then = typeof encoding === 'function' ? encoding : done;
    if (then) process.nextTick(then);
    return true;
  };
  stream.end = () => stream; // the next cell prints to it too
  stream.fd = fd;
  stream.isTTY = false;
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
}

function sendResult(data, main) {
  flush();
  const event = { type: 'result', main, data };
  if (JSON.stringify(data).length <= RESULT_CHARS) send(event);
  else print('stderr', `[the result is left out: it has more than ${RESULT_CHARS >> 20} MiB]\n`);
}

/** A value as MIME types: as it says itself, under the name that notebooks look for, or as inspected. */
function represent(value) {
  const own = value?.[Symbol.for('Jupyter.display')];
  const bundle = typeof own === 'function' ? own.call(value) : null;
  return bundle && typeof bundle === 'object' ? bundle : { 'text/plain': util.inspect(value) };
}

/** Shows a value at once, unless it takes its time to say how. */
function display(value) {
  const bundle = represent(value);
  if (typeof bundle.then === 'function') return bundle.then((made) => sendResult(made, false));
  sendResult(bundle, false);
}

// ---- epoch ----

let boot = null;
let inherited = [];

/** Two sandboxes from one snapshot differ from here on, as far as a script can bring that about. */
function renew() {
  let now = null;
  try {
    now = fs.readFileSync(path.join(RUN_DIRECTORY, 'boot_id'), 'latin1');
  } catch {
    return; // not in a sandbox
  }
  if (now === boot) return;
  if (boot !== null) Math.random = freshRandom();
  boot = now;
  let entries = [];
  try {
    entries = fs.readFileSync(path.join(RUN_DIRECTORY, 'environment'), 'utf8').split('\0').filter(Boolean);
  } catch {
    return;
  }
  const names = entries.map((entry) => entry.slice(0, entry.indexOf('=')));
  for (const name of inherited) if (!names.includes(name)) delete process.env[name];
  for (const entry of entries) process.env[entry.slice(0, entry.indexOf('='))] = entry.slice(entry.indexOf('=') + 1);
  inherited = names;
}

/** V8's own generator cannot be seeded again: from here on it is xorshift128+, as V8's is, over the kernel's entropy. */
function freshRandom() {
  const seed = Buffer.alloc(16);
  const fd = fs.openSync('/dev/urandom', 'r');
  fs.readSync(fd, seed);
  fs.closeSync(fd);
  let a = seed.readBigUInt64LE(0) | 1n;
  let b = seed.readBigUInt64LE(8);
  return function random() {
    let x = a;
    const y = b;
    a = y;
    x = BigInt.asUintN(64, x ^ (x << 23n));
    x ^= x >> 17n;
    x ^= y ^ (y >> 26n);
    b = x;
    return Number(BigInt.asUintN(64, a + b) >> 11n) / 2 ** 53;
  };
}

// ---- modules ----

/** Resolves as a module in the working directory would. */
function resolve(specifier) {
  if (isBuiltin(specifier) || /^[a-z][a-z0-9+.-]*:/i.test(specifier)) return specifier;
  const base = path.join(process.cwd(), 'cell.js');
  if (/^\.{0,2}\//.test(specifier)) return pathToFileURL(path.resolve(process.cwd(), specifier)).href;
  try {
    return pathToFileURL(createRequire(base).resolve(specifier)).href;
  } catch (failure) {
    if (failure.code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw failure;
    return pathToFileURL(modulePath(base, specifier, failure)).href;
  }
}

/** The main file of a package that is for `import` only. */
function modulePath(base, specifier, failure) {
  const [, name, rest] = /^((?:@[^/]+\/)?[^/]+)(\/.*)?$/.exec(specifier);
  for (const directory of createRequire(base).resolve.paths(name) ?? []) {
    const file = path.join(directory, name, 'package.json');
    if (!fs.existsSync(file)) continue;
    const { exports } = JSON.parse(fs.readFileSync(file, 'utf8'));
    let target = typeof exports === 'string' || Object.keys(exports ?? {})[0]?.[0] !== '.'
      ? exports : exports['.' + (rest ?? '')];
    while (target && typeof target === 'object') target = target.import ?? target.node ?? target.default;
    if (target) return path.join(directory, name, target);
  }
  throw failure;
}

async function importModule(specifier, options) {
  return import(resolve(String(specifier)), options);
}

// ---- code ----

/**
 * Import statements as declarations with await, import() as a call of ours: code that is evaluated by the inspector has
 * neither. Strings, comments, regular expressions at the start of a line and templates are passed over.
 */
function withoutImports(code) {
  if (!/\bimport\b/.test(code)) return code;
  const skipped = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\[\s\S]|[^'\\\n])*'|"(?:\\[\s\S]|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/y;
  const statement =
    /import\s+(?:([\w$]+)\s*,?\s*)?(?:\*\s*as\s+([\w$]+)\s+|\{([^}]*)\}\s*)?(?:from\s*)?(["'])([^"'\n]+)\4(?:\s*(?:with|assert)\s*(\{[^}]*\}))?\s*;?/y;
  let result = '';
  let fresh = true; // at the start of a line or statement
  for (let at = 0; at < code.length;) {
    skipped.lastIndex = statement.lastIndex = at;
    const before = code[at - 1] ?? '\n';
    if (fresh && code.startsWith('import', at) && statement.test(code)) {
      statement.lastIndex = at;
      const [all, name, namespace, names, , specifier, attributes] = statement.exec(code);
      const wanted = [
        ...(name ? [`default: ${name}`] : []),
        ...(names ?? '').split(',').map((one) => one.trim()).filter((one) => one && !/^type\s/.test(one))
          .map((one) => one.replace(/\s+as\s+/, ': ')),
      ];
      const options = attributes ? `, { with: ${attributes}, assert: ${attributes} }` : '';
      const call = `await __cube.importModule(${JSON.stringify(specifier)}${options})`;
      const parts = [];
      if (namespace) parts.push(`${namespace} = ${call}`);
      if (wanted.length > 0) parts.push(`{ ${wanted.join(', ')} } = ${call}`);
      result += (parts.length > 0 ? `var ${parts.join(', ')};` : `void (${call});`) + '\n'.repeat(all.split('\n').length - 1);
      at += all.length;
      continue;
    }
    if (skipped.test(code)) {
      result += code.slice(at, skipped.lastIndex);
      at = skipped.lastIndex;
      fresh = false;
      continue;
    }
    if (code.startsWith('import', at) && !/[\w$.]/.test(before) && /^import\s*\(/.test(code.slice(at, at + 40))) {
      result += '__cube.importModule';
      at += 'import'.length;
      fresh = false;
      continue;
    }
    if (/[\n;{}]/.test(code[at])) fresh = true;
    else if (!/\s/.test(code[at])) fresh = false;
    result += code[at];
    at++;
  }
  return result;
}

/** JavaScript from TypeScript, by whatever the image has for that. */
function withoutTypes(code) {
  if (stripTypeScriptTypes) {
    try {
      return stripTypeScriptTypes(code, { mode: 'transform' });
    } catch (failure) {
      if (failure.code === 'ERR_INVALID_TYPESCRIPT_SYNTAX') throw new SyntaxError(failure.message);
      if (failure.name === 'SyntaxError') throw failure;
    }
  }
  const options = { importsNotUsedAsValues: 'preserve', preserveValueImports: true };
  const esbuild = require('child_process').spawnSync('esbuild', ['--loader=ts', '--target=esnext', '--log-level=error',
    `--tsconfig-raw=${JSON.stringify({ compilerOptions: options })}`], { input: code, encoding: 'utf8' });
  if (!esbuild.error) {
    if (esbuild.status === 0) return esbuild.stdout;
    const line = /ERROR\] ?(.*)/.exec(esbuild.stderr);
    throw new SyntaxError(line ? line[1] : esbuild.stderr.trim());
  }
  let typescript;
  try {
    typescript = createRequire(path.join(process.cwd(), 'cell.js'))('typescript');
  } catch {
    throw new Error("TypeScript needs Node 22.13 or newer, or the program 'esbuild' or the package 'typescript', in the image");
  }
  return typescript.transpileModule(code, { compilerOptions: { target: 'esnext', module: 'esnext', ...options } }).outputText;
}

const session = new inspector.Session();
session.connect();

/** For calls that are answered at once. */
function ask(method, parameters) {
  let answer = {};
  session.post(method, parameters, (failure, result) => { answer = result ?? {}; });
  return answer;
}

let globalObject = null;
let taken;

/** The value that the inspector speaks of. */
function valueOf(remote) {
  const argument = remote.objectId ? { objectId: remote.objectId }
    : remote.unserializableValue ? { unserializableValue: remote.unserializableValue } : { value: remote.value };
  globalObject ??= ask('Runtime.evaluate', { expression: 'globalThis' }).result.objectId;
  taken = undefined;
  ask('Runtime.callFunctionOn', { functionDeclaration: 'function (value) { __cube.take(value); }',
    objectId: globalObject, arguments: [argument] });
  return taken;
}

let source = '';
let answered = null;

const bridge = {
  importModule,
  take(value) { taken = value; },
  evaluate() {
    session.post('Runtime.evaluate', { expression: source, replMode: true, objectGroup: 'cell' }, answered);
  },
};
const evaluation = new vm.Script('__cube.evaluate()', { filename: 'cell' });

class Interrupted extends Error {
  constructor() {
    super('the execution was interrupted');
    this.name = 'Interrupted';
    this.stack = `${this.name}: ${this.message}`;
  }
}

/** Evaluates, and throws what that throws. */
async function evaluate(code) {
  const { failure, result } = await new Promise((resolve) => {
    answered = (failure, result) => resolve({ failure, result });
    interrupt = () => resolve({ failure: new Interrupted() });
    source = code;
    try {
      evaluation.runInThisContext({ breakOnSigint: true });
    } catch (thrown) {
      resolve({ failure: thrown.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED' ? new Interrupted() : thrown });
    }
  });
  interrupt = null;
  if (failure) throw failure;
  if (result.exceptionDetails) {
    const { exception, text: description } = result.exceptionDetails;
    throw exception ? new Thrown(valueOf(exception)) : new Error(description);
  }
  const value = result.result.type === 'undefined' ? undefined : valueOf(result.result);
  ask('Runtime.releaseObjectGroup', { objectGroup: 'cell' });
  return value;
}

/** Holds what a cell has thrown, which may be anything. */
class Thrown {
  constructor(value) { this.value = value; }
}

let interrupt = null;
process.on('SIGINT', () => interrupt?.());

/**
 * Has interrupts that were sent to an earlier cell find nothing. Those that the event loop is to hear of are heard before
 * setImmediate calls back. Node's own watch for interrupts, which breakOnSigint starts, may have been told of its end by
 * an interrupt that came at that moment; it is then still to be woken for its end, and takes that for an interrupt of
 * whatever it watches next.
 */
async function settle() {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  for (let quiet = false; !quiet;) {
    try {
      nothing.runInThisContext({ breakOnSigint: true });
      quiet = true;
    } catch {
      // One that was late.
    }
  }
}
const nothing = new vm.Script(`Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${QUIET_MILLISECONDS})`);

process.on('uncaughtException', (error) => print('stderr', `Uncaught ${util.inspect(error)}\n`));
process.on('unhandledRejection', (error) => print('stderr', `Uncaught (in promise) ${util.inspect(error)}\n`));

function sendError(failure) {
  flush();
  const thrown = failure instanceof Thrown ? failure.value : failure;
  if (util.types.isNativeError(thrown) || thrown instanceof Error) {
    // Frames from the evaluation on are this file's.
    const stack = String(thrown.stack ?? thrown).split('\n    at cell:1')[0].split(`\n    at Session.post`)[0]
      .split('\n    at Object.evaluate')[0];
    send({ type: 'error', name: String(thrown.name), value: String(thrown.message), traceback: stack });
  } else {
    send({ type: 'error', name: 'Uncaught', value: util.inspect(thrown), traceback: `Uncaught ${util.inspect(thrown)}` });
  }
}

let count = 0;

async function execute({ id, code, env }) {
  renew();
  running = true;
  flushed = 0;
  count++;
  fs.writeSync(EVENTS, '\n');
  send({ type: 'begin', id, count });
  const saved = Object.entries(env ?? {}).map(([name, value]) => {
    const old = process.env[name];
    process.env[name] = value;
    return [name, old];
  });
  try {
    const value = await evaluate(withoutImports(TYPESCRIPT ? withoutTypes(code) : code));
    if (value !== undefined) sendResult(await represent(value), true);
  } catch (failure) {
    sendError(failure);
  } finally {
    for (const [name, old] of saved) {
      if (old === undefined) delete process.env[name];
      else process.env[name] = old;
    }
  }
  flush();
  running = false;
  send({ type: 'end', id });
}

function serve(request) {
  return request.op === 'settle' ? settle() : execute(request);
}

function main() {
  streamFor('stdout', 1);
  streamFor('stderr', 2);
  Object.defineProperty(globalThis, '__cube', { value: bridge });
  globalThis.require = createRequire(path.join(process.cwd(), 'cell.js'));
  globalThis.display = display;
  process.argv.length = 1;
  renew();

  let rest = '';
  let turn = Promise.resolve();
  const requests = new (require('net').Socket)({ fd: 3, readable: true, writable: false });
  requests.setEncoding('utf8');
  requests.on('data', (data) => {
    const lines = (rest + data).split('\n');
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) turn = turn.then(() => serve(JSON.parse(line)));
  });
  requests.on('end', () => process.exit());
  send({ type: 'ready' });
}

main();
