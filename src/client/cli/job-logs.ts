import { setTimeout as sleep } from 'node:timers/promises';
import { localJobs } from './local-jobs.ts';
import type { Result } from './output.ts';
import type { Session } from './session.ts';

/** How often a followed job is asked for new lines. */
const pollMs = 250;

/** Prints a job's log: of the attempt that is named, else of its newest one. */
export async function printLogs({ environment, output }: Session, key: string, follow: boolean): Promise<Result> {
  const jobs = localJobs(environment);
  const { ref, runner } = await jobs.find(key);
  const lines: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await runner.logs(ref, cursor);
    for (const line of page.lines) output.line(line);
    if (output.json) lines.push(...page.lines);
    const nothingNew = page.cursor === cursor;
    cursor = page.cursor;
    if (page.complete || (!follow && nothingNew)) break;
    if (nothingNew) await sleep(pollMs);
  }
  const { state } = await runner.describe(ref);
  return { document: { job: ref.name, state, lines }, text: '' };
}
