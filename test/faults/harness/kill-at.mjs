// Preloaded (NODE_OPTIONS) into the processes of a stack under test: a worker ends, or is stopped, at a chosen call that
// reaches outside it. "Killed between the effect and its record" is then a fact and not a race. Which call: a file
// `<GOTO3_HOME>/faults/<id>.json`, read at each call, so that a fault can be armed while the stack runs. A fault fires
// once: whoever creates `<id>.fired` is the one.
import childProcess from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const processName = nameOf(process.argv);
const folder = process.env.GOTO3_HOME && join(process.env.GOTO3_HOME, 'faults');
if (processName && folder) arm();

/** `worker-cpu`, `endpoint-mail`; undefined for everything else that inherits NODE_OPTIONS. */
function nameOf(argv) {
  const [, program = ''] = argv;
  const option = (name) => argv[argv.indexOf(name) + 1];
  if (program.endsWith('/src/workers/main.ts')) return `worker-${option('--queue')}`;
  if (program.endsWith('/src/workers/endpoint.ts')) return `endpoint-${option('--endpoint')}`;
  return undefined;
}

function arm() {
  const { link } = promises;
  promises.link = async (from, to) => {
    meet('link', 'before', to);
    await link(from, to);
    meet('link', 'after', to);
  };
  const { spawn } = childProcess;
  childProcess.spawn = (file, argv, options) => {
    const child = spawn(file, argv, options);
    const isWrapper = Array.isArray(argv) && /\/wrapper-[0-9a-f]+\.mjs$/.test(argv[0] ?? '');
    if (isWrapper) {
      meet('wrapper', 'spawned', argv[1]);
      // The wrapper says "claimed" before the worker can know it: the job runs and nobody has been told.
      child.stdio[3].once('data', () => meet('wrapper', 'claimed', argv[1]));
    }
    return child;
  };
  syncBuiltinESMExports();
}

function meet(call, when, path) {
  for (const file of armed()) {
    const fault = read(join(folder, file));
    if (fault?.process !== processName || fault.call !== call || fault.when !== when) continue;
    if (!new RegExp(fault.path).test(path)) continue;
    const firedAs = join(folder, file.replace(/\.json$/, '.fired'));
    try {
      writeFileSync(firedAs, JSON.stringify({ pid: process.pid, atMs: Date.now(), path }), { flag: 'wx' });
    } catch (error) {
      if (error.code === 'EEXIST') continue;
      throw error;
    }
    process.kill(process.pid, fault.signal);
  }
}

/** Undefined: it has been disarmed meanwhile. */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function armed() {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.json'));
  } catch {
    return [];
  }
}
