import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePythonVenv } from './python-venv.ts';
import { ensureVersitygw } from './versitygw.ts';

/**
 * `npm run test:aws`: what needs an S3 server (versitygw, built from its Go module) or Amazon's own Python clients as
 * judges (boto3, moto). Arguments go to mocha: `npm run test:aws -- --grep store`, or files instead of all.
 */
const root = fileURLToPath(new URL('../', import.meta.url));
const versitygw = ensureVersitygw();
const bin = ensurePythonVenv(join(root, '.goto3', 'venv-aws'), join(root, 'test', 'aws', 'requirements.txt'));

const given = process.argv.slice(2);
const files = given.some((argument) => argument.endsWith('.test.ts')) ? [] : ['test/aws/**/*.test.ts'];
const mocha = join(root, 'node_modules', 'mocha', 'bin', 'mocha.js');
const { status } = spawnSync(process.execPath, [mocha, ...files, ...given], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, GOTO3_VERSITYGW: versitygw, GOTO3_AWS_PYTHON: join(bin, 'python') },
});
process.exit(status ?? 1);
