import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobFolder, ProgressRecord } from '../local/job-folder.ts';
import { readControlFile } from '../local/job-folder.ts';
import { readLogPage } from '../local/log-pages.ts';
import { programLine, wordLine } from './words.ts';

const lookEveryMs = 100;
/** Said again after so much output, so that the end of a long log knows it too. */
const againAfterBytes = 256 * 1024;

/**
 * Prints the program's output as it comes, whole lines, and each news of its progress as a word of the launcher.
 *
 * @param isOver read before each look: what was written until then is passed on before this returns
 */
export async function forwardLog(folder: JobFolder, isOver: () => boolean): Promise<void> {
  let cursor: string | undefined;
  let told = '';
  for (let sinceTold = 0; ; ) {
    const over = isOver();
    const page = await readLogPage(folder, cursor, over);
    cursor = page.cursor;
    const text = page.lines.map((line) => `${programLine(line)}\n`).join('');
    print(text);
    sinceTold += text.length;
    const progress = await readControlFile<ProgressRecord>(folder.progress);
    if (progress && (progress.at !== told || sinceTold > againAfterBytes)) {
      print(`${wordLine({ kind: 'progress', progress })}\n`);
      told = progress.at;
      sinceTold = 0;
    }
    if (page.complete) return;
    if (page.lines.length === 0) await sleep(lookEveryMs);
  }
}

/** Synchronous: a log driver that is slow slows the launcher down, not its memory up. */
function print(text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}
