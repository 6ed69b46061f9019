import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** What tsx is loaded from, so that a child finds it whatever its working directory is. */
const tsxUrl = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** argv of a program of this repository, run by the same Node under tsx. */
export function tsxArgv(program: URL, ...args: readonly string[]): [string, ...string[]] {
  return [process.execPath, '--import', tsxUrl, fileURLToPath(program), ...args];
}
