import { setTimeout as sleep } from 'node:timers/promises';
import { localJobs } from './local-jobs.ts';
import type { Result } from './output.ts';
import type { Session } from './session.ts';

/** How often a followed job is asked for new lines. */
const pollMs = 250;

export interface LogsAsked {
  follow: boolean;
  /** Of an array; absent: the first that failed, else the first that has started. */
  task?: number;
}

/** Prints a job's log: of the attempt that is named, else of its newest one. */
export async function printLogs(
  { environment, output }: Session,
  key: string,
  { follow, task }: LogsAsked,
): Promise<Result> {
  const jobs = localJobs(environment);
  const { ref, runner } = await jobs.find(key, task);
  const lines: string[] = [];
  let cursor: string | undefined;
  for (;;) {
    const page = await runner.logs(ref, cursor, task);
    for (const line of page.lines) output.line(line);
    if (output.json) lines.push(...page.lines);
    const nothingNew = page.cursor === cursor;
    cursor = page.cursor;
    if (page.complete || (!follow && nothingNew)) break;
    if (nothingNew) await sleep(pollMs);
  }
  const { state } = await runner.describe(ref);
  return { document: { job: ref.name, ...(task !== undefined && { task }), state, lines }, text: '' };
}
