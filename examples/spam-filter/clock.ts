import { readFile } from 'node:fs/promises';
import { publish } from '../../src/jobs/local/publish.ts';

/**
 * The data's own clock. The mail is from 2002 and is replayed at high speed, so "now" for the feed is what this file
 * says: `{"now":"2002-08-08T00:00:00.000Z"}`. The replay moves it forward; the feed only reads.
 */
export const replayStart = new Date('2002-08-01T00:00:00.000Z');

/** Without a file the replay has not begun: `replayStart`. Throws on a file that holds no time. */
export async function readClock(path: string | undefined): Promise<Date> {
  if (path === undefined) return replayStart;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return replayStart;
  const now = new Date(nowOf(text) ?? Number.NaN);
  if (Number.isNaN(now.getTime())) throw new Error(`clock file ${path}: expected {"now": "<ISO time>"}`);
  return now;
}

export const writeClock = (path: string, now: Date): Promise<void> =>
  publish(path, `${JSON.stringify({ now: now.toISOString() })}\n`);

function nowOf(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('now' in value)) return undefined;
    return typeof value.now === 'string' ? value.now : undefined;
  } catch {
    return undefined;
  }
}
