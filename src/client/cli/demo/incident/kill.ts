import { readFile } from 'node:fs/promises';
import { until } from '../../../../../examples/spam-filter/replay/until.ts';
import type { JobProgress } from '../../../../contracts/job.ts';
import { jobFolderOf } from '../../../../jobs/local/job-folder.ts';
import type { StateLayout } from '../../../../stack/layout.ts';
import { isAlive } from '../../../../stack/process-identity.mjs';
import { readTable } from '../../../../stack/process-table.ts';

/** Of the stack's children, those that a training and its cycle need: every worker, and the server. */
const isHit = (name: string): boolean => name === 'temporal' || name.startsWith('worker-');

/** Kills them by the pids of their records, all in one moment. @returns their names */
export function killWorkersAndServer({ run }: Pick<StateLayout, 'run'>): string[] {
  const hit = readTable(run).filter(({ name, process: of }) => isHit(name) && of !== null && isAlive(of));
  for (const { process: of } of hit) process.kill(of!.pid, 'SIGKILL');
  return hit.map(({ name }) => name);
}

/** Early enough that seconds of work are left, late enough that something would be lost. */
const inTheMiddle = (fraction: number): boolean => fraction > 0.1 && fraction < 0.7;
const trainsWithinMs = 120_000;

/** Waits until a job is in the middle of its work. @returns the share that is done */
export async function inTheMiddleOf(jobsFolder: string, job: string, signal: AbortSignal): Promise<number> {
  const { progress } = jobFolderOf(jobsFolder, job);
  const look = async (): Promise<number | undefined> => {
    const text = await readFile(progress, 'utf8').catch(() => undefined);
    const fraction = text === undefined ? 0 : (JSON.parse(text) as JobProgress).fraction;
    return inTheMiddle(fraction) ? fraction : undefined;
  };
  return await until(look, { everyMs: 25, withinMs: trainsWithinMs, signal, what: `${job} is in the middle` });
}
