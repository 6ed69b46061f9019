import { closeSync, readFileSync, writeSync } from 'node:fs';
import { duplicateStatus, type Launch } from './launch.ts';
import { runWrappedJob } from './wrapped-job.ts';

/**
 * The local runner's wrapper process. It is bundled into one file that needs only Node, so that it starts quickly. When the
 * submitter died before it had written everything, the parsing throws, and no claim is taken.
 */
const launch = JSON.parse(readFileSync(0, 'utf8')) as Launch;
if ((await runWrappedJob(launch, answer)) === 'duplicate') process.exitCode = duplicateStatus;

/** To the submitter, if it still listens. Closed at once: the program must not inherit the descriptor. */
function answer(word: string): void {
  try {
    writeSync(3, word);
    closeSync(3);
  } catch (error) {
    if (!['EPIPE', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
