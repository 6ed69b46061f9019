import type { JobProgress } from '../../contracts/job.ts';
import type { ExitRecord } from '../local/job-folder.ts';

/**
 * What the launcher says to the runner, as lines of the job's log: the log is the one way out of a container that may be
 * isolated from every network. A program's own line that begins so gets a blank before it.
 */
const prefix = '#goto3 ';

export type Word =
  | { kind: 'progress'; progress: JobProgress }
  | { kind: 'exit'; exit: ExitRecord; progress?: JobProgress };

export const wordLine = (word: Word): string => `${prefix}${JSON.stringify(word)}`;

/** Undefined for a line of the program. */
export function parseWord(line: string): Word | undefined {
  if (!line.startsWith(prefix)) return undefined;
  try {
    return JSON.parse(line.slice(prefix.length)) as Word;
  } catch {
    return undefined;
  }
}

export const programLine = (line: string): string => (line.startsWith(prefix) ? ` ${line}` : line);
