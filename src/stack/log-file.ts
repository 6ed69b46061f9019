import { copyFileSync, openSync, readFileSync, statSync, truncateSync } from 'node:fs';

/** A log and its predecessor take at most twice this, plus what is written between two looks. */
export const logCapBytes = 10 * 2 ** 20;

/** For a child's stdout and stderr. Appending, so that a truncated log goes on at its new end. */
export function openLog(path: string): number {
  return openSync(path, 'a', 0o600);
}

/**
 * Copies a log that is over the cap to `<path>.1` and empties it. A living child holds the file open and knows nothing of
 * us, so a rename would leave it writing into the old one; lines written between copy and truncate are lost. On a full disk
 * there is no copy, and the cap holds all the same.
 */
export function rotateLog(path: string, capBytes: number = logCapBytes): boolean {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= capBytes) return false;
  try {
    copyFileSync(path, `${path}.1`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
  truncateSync(path, 0);
  return true;
}

/** The last lines, for a person who has to see why a child died. */
export function tailLog(path: string, lines: number): string[] {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
