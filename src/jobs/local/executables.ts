import { accessSync, constants, statSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

/** Absolute path of a program in `PATH`; undefined when there is none. A name with a `/` is a path already. */
export function findExecutable(command: string, searchPath: string): string | undefined {
  if (command.includes('/')) return isExecutable(command) ? command : undefined;
  return searchPath
    .split(':')
    .filter(isAbsolute)
    .map((folder) => join(folder, command))
    .find(isExecutable);
}

/** Why a program cannot be started; undefined when it can. Spawn would blame `nice`, which stands before it, or ENOENT. */
export function whyNotRunnable(command: string, workingDirectory: string, searchPath: string): string | undefined {
  if (!statSync(workingDirectory, { throwIfNoEntry: false })?.isDirectory())
    return `workingDirectory ${workingDirectory}: no such folder`;
  if (findExecutable(command, searchPath) !== undefined) return undefined;
  return command.includes('/') ? `program ${command}: no such executable` : `program ${command}: not found in PATH`;
}

/** A program that an earlier job built lies among the inputs, and the store keeps no modes. Only files in there are touched. */
export async function makeRunnable(program: string, inputs: string): Promise<void> {
  if (!program.startsWith(`${inputs}/`) || program.split('/').includes('..') || isExecutable(program)) return;
  // Tasks of an array share it; what is not there is told by whoever starts it.
  if (statSync(program, { throwIfNoEntry: false })?.isFile()) await chmod(program, 0o755);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
