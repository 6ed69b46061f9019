import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Skips by name where Python cannot make environments; CI has to. */
export async function needsPython(context: Mocha.Context): Promise<void> {
  try {
    await promisify(execFile)('python3', ['-c', 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)']);
  } catch (error) {
    if ((process.env.CI ?? 'false') !== 'false') throw error;
    console.log('      skipped: Python 3.10 or newer with venv is missing; apt-get install python3-venv');
    context.skip();
  }
}
