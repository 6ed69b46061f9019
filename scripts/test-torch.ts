import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePythonVenv } from './python-venv.ts';

/**
 * `npm run test:torch`: what needs PyTorch, transformers and PEFT, as the recipe `hf-lora` or as judges of our training
 * graphs. The packages take 5.7 GB. Arguments go to mocha: `npm run test:torch -- --grep SIGTERM`, or files instead of all.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const bin = ensurePythonVenv(join(root, '.goto3', 'venv-torch'), join(root, 'test', 'torch', 'requirements.txt'));

const given = process.argv.slice(2);
const files = given.some((argument) => argument.endsWith('.test.ts')) ? [] : ['test/torch/**/*.test.ts'];
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const { status } = spawnSync(process.execPath, [mocha, ...files, ...given], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // Tests are of small models: more threads only wait for each other.
  env: { ...process.env, OMP_NUM_THREADS: '1', GOTO3_TORCH_PYTHON: join(bin, 'python') },
});
process.exit(status ?? 1);
