import { type FileHandle, open } from 'node:fs/promises';
import type { LogPage } from '../../contracts/job.ts';
import { InvalidJob } from '../errors.ts';
import { startOfCharacter } from './capped-log.ts';
import type { JobFolder } from './job-folder.ts';

const pageBytes = 256 * 1024;
/** A longer line comes in pieces, so that a page stays small whatever a program prints. */
const longestLineBytes = 64 * 1024;

/**
 * The next page of a job's logs: whole lines of stdout, then of stderr. The cursor holds one byte offset per stream.
 * `ended` must have been read before this call: only then does an unfinished last line count, and does the end mean the end.
 */
export async function readLogPage(folder: JobFolder, cursor: string | undefined, ended: boolean): Promise<LogPage> {
  const [out, err] = parseCursor(cursor);
  const stdout = await readLines(folder.stdout, out, ended);
  const stderr = await readLines(folder.stderr, err, ended);
  return {
    lines: [...stdout.lines, ...stderr.lines],
    cursor: `${stdout.offset}:${stderr.offset}`,
    complete: ended && stdout.atEnd && stderr.atEnd,
  };
}

function parseCursor(cursor: string | undefined): [number, number] {
  if (cursor === undefined) return [0, 0];
  const match = /^(\d{1,15}):(\d{1,15})$/.exec(cursor);
  if (!match) throw new InvalidJob(`log cursor: expected one that an earlier page gave, got ${JSON.stringify(cursor)}`);
  return [Number(match[1]), Number(match[2])];
}

async function readLines(path: string, offset: number, ended: boolean) {
  const file = await openIfThere(path);
  if (!file) return { lines: [], offset, atEnd: true };
  try {
    const bytes = Buffer.alloc(pageBytes);
    const { bytesRead } = await file.read(bytes, 0, pageBytes, offset);
    const lastOfFile = bytesRead < pageBytes;
    const { lines, usedBytes } = splitLines(bytes.subarray(0, bytesRead), ended && lastOfFile);
    return { lines, offset: offset + usedBytes, atEnd: lastOfFile && usedBytes === bytesRead };
  } finally {
    await file.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whole lines of a piece of a log, and how many bytes they took. `takeRest`: nothing will follow. Pure. */
export function splitLines(bytes: Buffer, takeRest: boolean): { lines: string[]; usedBytes: number } {
  const lines: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    const lineFeed = bytes.indexOf(0x0a, at);
    const end = lineFeed === -1 ? bytes.length : lineFeed;
    if (end - at > longestLineBytes) {
      const cut = startOfCharacter(bytes, at + longestLineBytes);
      lines.push(bytes.toString('utf8', at, cut));
      at = cut;
    } else if (lineFeed === -1 && !takeRest) break;
    else {
      lines.push(bytes.toString('utf8', at, end));
      at = lineFeed === -1 ? end : end + 1;
    }
  }
  return { lines, usedBytes: at };
}
