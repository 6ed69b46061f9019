import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tryLock } from '../../src/stack/exclusive-lock.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const venv = join(here, '.goto3', 'venv');
const requirements = join(here, 'requirements.txt');
/** Its presence says that the environment is whole, its content of which requirements. */
const stamp = join(venv, 'requirements.sha256');

/**
 * Makes the Python environment of the three programs, once per version of requirements.txt, and again when an earlier
 * attempt was killed half way. @throws Error that says what is missing
 */
export async function preparePython(note: (line: string) => void): Promise<void> {
  mkdirSync(join(here, '.goto3'), { recursive: true });
  for (let told = false; !isPrepared(); told = true) {
    // Two runs at once would empty each other's environment.
    const lock = tryLock(join(here, '.goto3'), 'prepare');
    if (lock.acquired) {
      try {
        if (!isPrepared()) install(note);
      } finally {
        lock.release();
      }
    } else {
      if (!told) note(`Process ${lock.holder.pid} prepares the Python environment; waiting for it`);
      await new Promise((wake) => setTimeout(wake, 250));
    }
  }
}

const wanted = (): string => createHash('sha256').update(readFileSync(requirements)).digest('hex');
const isPrepared = (): boolean => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted();

function install(note: (line: string) => void): void {
  note(`Preparing a Python environment in ${venv} (about half a minute)`);
  run('python3', ['-m', 'venv', '--clear', venv]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements];
  run(join(venv, 'bin', 'python'), pip);
  writeFileSync(stamp, wanted());
}

function run(command: string, argv: readonly string[]): void {
  // Our stdout is for the result.
  const { status, error } = spawnSync(command, argv, { stdio: ['ignore', 2, 2] });
  if (error) throw new Error(`${command}: ${error.message}; this example needs Python 3.10 or newer with venv`);
  if (status !== 0) throw new Error(`${command} ${argv.join(' ')}: exit code ${status}; its words are above`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await preparePython(console.error);
