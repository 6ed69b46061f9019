import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm run test:oracles`: judges our numbers by independent Python packages. Makes a virtual environment of its own from
 * test/oracles/requirements.txt, once per version of that file, and runs the oracle tests with it.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const requirements = join(root, 'test', 'oracles', 'requirements.txt');
const venv = join(root, '.goto3', 'venv-oracles');
const stamp = join(venv, 'requirements.sha256');
const python = join(venv, 'bin', 'python');
const wanted = createHash('sha256').update(readFileSync(requirements)).digest('hex');

function run(argv: [string, ...string[]], env: NodeJS.ProcessEnv = process.env): void {
  const [command, ...rest] = argv;
  const { status, error } = spawnSync(command, rest, { stdio: 'inherit', cwd: root, env });
  if (error) throw new Error(`${command}: ${error.message}; the oracles need Python 3.10 or newer with venv`);
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log(`Preparing a Python environment for the oracles in ${venv} (about a minute)`);
  mkdirSync(join(root, '.goto3'), { recursive: true });
  run(['python3', '-m', 'venv', '--clear', venv]);
  run([python, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements]);
  writeFileSync(stamp, wanted);
}
run([process.execPath, join(root, 'node_modules', 'mocha', 'bin', 'mocha.js'), 'test/oracles/**/*.test.ts'], {
  ...process.env,
  GOTO3_ORACLE_PYTHON: python,
});
