import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readClaim } from './claim.ts';
import { type Claim, isThere, jobFolderAt } from './job-folder.ts';
import { liveness, type Machine, thisMachine } from './processes.ts';
import { signalProcess } from './program-processes.ts';

const lookEveryMs = 50;

/**
 * Asks every job of this machine to save and leave, and returns when none is left: its wrapper reads a SIGTERM without a
 * cancel as `preempted`, which is resumed from the checkpoint. A program gets its wrapper's grace, unless `hurried` is
 * aborted: then it dies at once, and resumes from the checkpoint before. Nobody may start jobs meanwhile.
 *
 * @param jobsFolder absolute folder of all jobs of this host; it need not exist
 * @returns how many jobs were asked
 */
export async function preemptJobs(jobsFolder: string, host: string, hurried: AbortSignal): Promise<number> {
  const here = thisMachine(host);
  const asked = new Set<string>();
  for (;;) {
    const living = await livingWrappers(jobsFolder, here);
    if (living.length === 0) return asked.size;
    for (const wrapper of living) {
      // The program dies with its wrapper (setpriv --pdeathsig), or the next look at the job kills it.
      if (hurried.aborted) signalProcess(wrapper, 'SIGKILL');
      else if (!asked.has(wrapper.marker)) signalProcess(wrapper, 'SIGTERM');
      asked.add(wrapper.marker);
    }
    await sleep(lookEveryMs);
  }
}

async function livingWrappers(jobsFolder: string, here: Machine): Promise<Claim[]> {
  const living: Claim[] = [];
  for (const name of await entriesOf(jobsFolder)) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    const folder = jobFolderAt(join(jobsFolder, name));
    if (await isThere(folder.exit)) continue;
    const claim = (await readClaim(folder))?.claim;
    if (claim?.by === 'wrapper' && liveness(claim, here) === 'alive') living.push(claim);
  }
  return living;
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
