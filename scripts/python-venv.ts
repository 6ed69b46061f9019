import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * A Python virtual environment with exactly what a requirements file pins, made once per version of that file.
 * @param folder absolute; replaced when the requirements have changed
 * @param requirements absolute path of the file
 * @returns absolute path of its `bin` folder
 * @throws Error when Python 3.10 or newer with venv is missing, or pip fails (its own output says why)
 */
export function ensurePythonVenv(folder: string, requirements: string): string {
  const stamp = join(folder, 'requirements.sha256');
  const bin = join(folder, 'bin');
  const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return bin;
  console.log(`Preparing a Python environment in ${folder} from ${basename(dirname(requirements))}/requirements.txt`);
  mkdirSync(dirname(folder), { recursive: true });
  run(['python3', '-m', 'venv', '--clear', folder]);
  run([join(bin, 'python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]);
  // Last: a killed run leaves no stamp, and the next begins anew.
  writeFileSync(stamp, wanted);
  return bin;
}

function run([command, ...rest]: [string, ...string[]]): void {
  const { status, error } = spawnSync(command, rest, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (error) throw new Error(`${command}: ${error.message}; Python 3.10 or newer with venv is needed`);
  if (status !== 0) throw new Error(`${command} ${rest.slice(0, 3).join(' ')} … ended with code ${status}`);
}
