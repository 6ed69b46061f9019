// `goto3 quantize` as compiled JavaScript, since it is over in less time than loading a hundred TypeScript modules takes. esbuild makes it anew when a source file has changed; it lies beside the installed packages, so that it
// finds them. CommonJS, as bin/goto3.
'use strict';
const { randomUUID } = require('node:crypto');
const { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require('node:fs');
const { join, relative, sep } = require('node:path');
const { pathToFileURL } = require('node:url');

const root = join(__dirname, '..');
const cache = join(root, 'node_modules', '.cache', 'goto3');
const manifest = join(cache, 'quantize.json');
const entry = join(root, 'src', 'client', 'cli', 'quantize-main.ts');
const installed = join(root, 'node_modules', '.package-lock.json');
/** Packages that every start loads: part of the compiled files, whole trees of small modules otherwise. */
const inlined = new Set(['commander', 'picocolors', 'zod', 'protobufjs']);

/** Size and time of change. */
function stampOf(path) {
  const { mtimeMs, size } = statSync(path);
  return `${mtimeMs} ${size}`;
}

/** The address of a compiled command that is up to date, or undefined where none can be made. */
exports.compiledQuantize = async () => {
  try {
    return pathToFileURL(upToDate() ?? (await compile())).href;
  } catch {
    // A read-only installation, or a source file that does not parse: the slower way works, or says what is wrong.
    return undefined;
  }
};

function upToDate() {
  try {
    const { main, inputs } = JSON.parse(readFileSync(manifest, 'utf8'));
    const isSame = Object.entries(inputs).every(([path, stamp]) => stampOf(join(root, path)) === stamp);
    return isSame && statSync(main).isFile() ? main : undefined;
  } catch {
    return undefined;
  }
}

async function compile() {
  const folder = join(cache, `quantize-${randomUUID()}`);
  mkdirSync(folder, { recursive: true });
  try {
    return await compileInto(folder);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function compileInto(folder) {
  const { build } = require('esbuild');
  const inputs = {};
  const packages = {
    name: 'packages',
    setup({ onResolve }) {
      onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
        if (kind === 'entry-point') return undefined;
        const name = path.startsWith('@') ? path.split('/', 2).join('/') : path.split('/', 1)[0];
        return inlined.has(name) ? undefined : { path, external: true };
      });
    },
  };
  const sources = {
    name: 'sources',
    setup({ onLoad }) {
      onLoad({ filter: /\.m?[jt]s$/ }, ({ path }) => {
        // Stamped before it is read: what is saved meanwhile is newer than its stamp.
        // Of installed packages npm's own record of them will do.
        const stamped = path.includes(`${sep}node_modules${sep}`) ? installed : path;
        inputs[relative(root, stamped)] = stampOf(stamped);
        // Programs and files that a module names are found from where the module was written.
        const contents = readFileSync(path, 'utf8').replaceAll(
          'import.meta.url',
          JSON.stringify(pathToFileURL(path).href),
        );
        return { contents, loader: path.endsWith('ts') ? 'ts' : 'js' };
      });
    },
  };
  await build({
    entryPoints: [entry],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    plugins: [packages, sources],
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // CommonJS packages ask for Node's modules in their own way.
    banner: {
      js: "import { createRequire as requireFor } from 'node:module'; const require = requireFor(import.meta.url);",
    },
    absWorkingDir: root,
    logLevel: 'silent',
  });
  const before = previous();
  const main = join(folder, 'quantize-main.mjs');
  const fresh = join(cache, `${randomUUID()}.json`);
  writeFileSync(fresh, JSON.stringify({ main, folder, inputs, before }));
  renameSync(fresh, manifest);
  // The one before the last: nobody has begun to load it since.
  if (before?.before) rmSync(before.before, { recursive: true, force: true });
  return main;
}

/** Folders of the compilation that is replaced, and of the one before it. */
function previous() {
  try {
    const { folder, before } = JSON.parse(readFileSync(manifest, 'utf8'));
    return { folder, before: before?.folder };
  } catch {
    return undefined;
  }
}
