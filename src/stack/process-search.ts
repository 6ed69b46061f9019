import { readdirSync, readFileSync } from 'node:fs';
import { identify, type ProcessIdentity, sessionAndGroup } from './process-identity.mjs';

/** Name of the variable that marks a child of the stack and everything that it starts. */
export const childTokenVariable = 'GOTO3_CHILD';

/** Our own processes with this token in their environment, oldest pid first; empty where there is no /proc. */
function processesWithToken(token: string): number[] {
  let entries: string[];
  try {
    entries = readdirSync('/proc');
  } catch {
    return [];
  }
  const mark = `${childTokenVariable}=${token}`;
  return entries
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark);
      } catch {
        return false; // Gone, or of another user.
      }
    })
    .sort((a, b) => a - b);
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/**
 * The child that was started with this token and argv. A job that a worker started bears the token too, and may have
 * outlived the worker: it is told apart by its argv.
 */
export function findChild(token: string, argv: readonly string[]): ProcessIdentity | undefined {
  const pid = processesWithToken(token).find(
    (candidate) => sessionAndGroup(candidate)?.session === candidate && sameCommand(commandLine(candidate), argv),
  );
  return pid === undefined ? undefined : identify(pid);
}

function sameCommand(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && found.every((argument, i) => argument === wanted[i]);
}

/**
 * SIGKILL to what a dead child left in its process group. Jobs have sessions of their own and go on; the token keeps a
 * process safe that got the same group id by chance.
 */
export function killLeftovers(group: number, token: string): number[] {
  const left = processesWithToken(token).filter((pid) => sessionAndGroup(pid)?.group === group);
  for (const pid of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  return left;
}
