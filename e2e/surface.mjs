// What E2B's pinned clients can call, read from what their packages declare.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';

const require = createRequire(import.meta.url);

async function files(name) {
  const bundle = require.resolve(name).replace(/\.m?js$/, '');
  return { types: await readFile(`${bundle}.d.ts`, 'utf8'), code: await readFile(`${bundle}.mjs`, 'utf8') };
}

/** The lines between a declaration at the left margin and the brace that ends it. */
function body(types, declaration) {
  const lines = types.split('\n');
  const start = lines.findIndex((line) => line.startsWith(declaration));
  if (start < 0) throw new Error(`the client no longer declares: ${declaration}`);
  return lines.slice(start + 1, lines.indexOf('}', start));
}

/** `GET /path` for each operation of an interface that openapi-typescript made. */
function operations(types, name) {
  const found = [];
  let path;
  for (const line of body(types, `interface ${name} {`)) {
    path = /^ {2}"?(\/[^":]*)"?: \{$/.exec(line)?.[1] ?? path;
    const method = /^ {4}(get|put|post|delete|patch|head|options): \{$/.exec(line)?.[1];
    if (method) found.push(`${method.toUpperCase()} ${path}`);
  }
  return found;
}

/** `package.Service/Method` for each procedure, from the descriptors that protoc-gen-es put into the code. */
function procedures(code) {
  return [...code.matchAll(/fileDesc\("([A-Za-z0-9+/=]+)"/g)].flatMap(([, text]) => {
    const file = fromBinary(FileDescriptorProtoSchema, base64Decode(text));
    return file.service.flatMap((service) =>
      service.method.map((method) => `${file.package}.${service.name}/${method.name}`));
  });
}

/** The code interpreter's routes, which its client has as templates of URLs. */
function interpreterRoutes(code) {
  return [...code.matchAll(/getJupyterRequestUrl\(["`]([^"`]+)["`]\), \{\s*method: "([A-Z]+)"/g)]
    .map(([, path, method]) => `${method} ${path.replaceAll('${', '{')}`);
}

function classes(types) {
  const found = new Map();
  for (const [declaration, name, base] of
    types.matchAll(/^declare (?:abstract )?class (\w+)(?:<.*?>)?(?: extends ([\w$]+)(?:<.*?>)?)?.*\{$/gm)) {
    const members = body(types, declaration).flatMap((line) => {
      const member = /^ {2}(static )?(?:abstract )?(?:get )?(\w+)(?:<.*)?\(/.exec(line);
      return !member || member[2] === 'constructor' ? [] : [(member[1] ? '.' : '#') + member[2]];
    });
    found.set(name, { base, members });
  }
  return found;
}

function exported(types) {
  const list = /^export \{([^}]*)\};$/m.exec(types)?.[1];
  if (!list) throw new Error('the client no longer has a list of exports');
  return list.split(',').map((name) => name.trim().replace(/^type /, '').split(' as ')[0]);
}

/** `Class.staticMethod` and `Class#method` of the exported classes, inherited ones too, but not those of errors. */
function methods(types, name) {
  const declared = classes(types);
  const lineage = (child) => (child ? [child, ...lineage(declared.get(child)?.base)] : []);
  return [...new Set(exported(types).filter((candidate) => declared.has(candidate))
    .filter((candidate) => !lineage(candidate).includes('Error'))
    .flatMap((candidate) => lineage(candidate).filter((ancestor) => declared.has(ancestor))
      .flatMap((ancestor) => declared.get(ancestor).members)
      .map((member) => `${name(candidate)}${member}`)))];
}

export async function surface() {
  const [plain, interpreter] = await Promise.all(['e2b', '@e2b/code-interpreter'].map(files));
  const known = methods(plain.types, (name) => name);
  return {
    'REST routes': operations(plain.types, 'paths'),
    'envd routes': operations(plain.types, 'paths$1'),
    'envd procedures': procedures(plain.code),
    'interpreter routes': interpreterRoutes(interpreter.code),
    // The interpreter's own Sandbox adds to the other's.
    methods: [...new Set([...known, ...methods(interpreter.types, (name) => name)])],
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname) console.log(JSON.stringify(await surface(), null, 1));
