import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Whether a folder holds a file, at any depth. */
export const holdsFile = (folder: string): boolean =>
  readdirSync(folder, { withFileTypes: true, recursive: true }).some((entry) => entry.isFile());

/** Those of the files that are not there as plain files. */
export const missingFiles = (folder: string, files: readonly string[]): string[] =>
  files.filter((file) => !lstatSync(join(folder, file), { throwIfNoEntry: false })?.isFile());

/** The beginning of the `failure` file. What is not a plain file (a fifo would block) counts as none. */
export function readFailureFile(path: string): string {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return '';
  const file = openSync(path, 'r');
  try {
    const bytes = Buffer.alloc(4096);
    return bytes.toString('utf8', 0, readSync(file, bytes));
  } finally {
    closeSync(file);
  }
}

/** Fields 16 and 17 of /proc/self/stat: times of the children that were waited for, in ticks of 10 ms (USER_HZ). */
export function childrenCpuMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}
