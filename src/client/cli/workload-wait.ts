import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkloadHandle } from '../workload.ts';
import type { Output } from './output.ts';

/** What is asked of a run that is waited for. */
export type Awaited = Pick<WorkloadHandle, 'status' | 'result' | 'run'>;

/** Between two looks. */
const everyMs = 500;

/**
 * Waits until a run has ended, or is parked for a person: a script must not wait for one. The server keeps what was
 * submitted, so a worker or a server that is away is told, and waited for.
 */
export async function awaitWorkload(handle: Awaited, output: Pick<Output, 'note'>, lookEveryMs = everyMs) {
  const id = `${handle.run.workload}/${handle.run.key}`;
  let told = '';
  const tell = (text: string): void => {
    if (text !== told) output.note(text);
    told = text;
  };
  for (;;) {
    const look = await lookAt(handle);
    if (look.is === 'over') return await handle.result();
    if (look.is === 'silent')
      tell(
        `${id} is accepted and stays so, but ${look.who}: waiting on. Ctrl-C ends only this wait; goto3 status tells what is missing, goto3 workload status ${id} how it goes`,
      );
    else {
      const { state, jobs, counts, running, failures } = look.status;
      if (state === 'parked') return { state: 'parked' as const, jobs, ...counts, failures };
      const failed = counts.failed > 0 ? `, ${counts.failed} failed` : '';
      tell(`${id}: ${counts.succeeded} of ${jobs} jobs succeeded${failed}, ${running.length} running`);
    }
    await sleep(lookEveryMs);
  }
}

async function lookAt(handle: Awaited) {
  try {
    return { is: 'answered' as const, status: await handle.status() };
  } catch (error) {
    const { name } = error as Error;
    if (name === 'NotRunning') return { is: 'over' as const };
    if (name === 'NoWorkers') return { is: 'silent' as const, who: 'no control worker answers' };
    if (name === 'NoServer') return { is: 'silent' as const, who: 'the Temporal server is away' };
    throw error;
  }
}
