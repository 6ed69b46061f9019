import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePythonVenv } from './python-venv.ts';

/**
 * `npm run test:oracles`: judges our numbers by independent Python packages. Makes a virtual environment of its own from
 * test/oracles/requirements.txt, once per version of that file, and runs the oracle tests with it.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const bin = ensurePythonVenv(join(root, '.goto3', 'venv-oracles'), join(root, 'test', 'oracles', 'requirements.txt'));
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const { status } = spawnSync(process.execPath, [mocha, 'test/oracles/**/*.test.ts'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, GOTO3_ORACLE_PYTHON: join(bin, 'python') },
});
process.exit(status ?? 1);
