import { existsSync, readdirSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readClaim } from '../../../jobs/local/claim.ts';
import { isThere, jobFolderAt } from '../../../jobs/local/job-folder.ts';
import { liveness, thisMachine } from '../../../jobs/local/processes.ts';
import { signalProcess } from '../../../jobs/local/program-processes.ts';
import { tryLock } from '../../../stack/exclusive-lock.mjs';
import { type StateLayout, stateLayout } from '../../../stack/layout.ts';
import { bringDown } from '../../../stack/stack.ts';
import { stackHolder } from '../../../stack/stack-lock.ts';
import { Refused } from '../../errors.ts';

/** Says that everything in a folder came from a demo and may go with the next one. */
const marker = 'demo.json';

export interface DemoHome {
  layout: StateLayout;
  /** The data's time; see examples/spam-filter/clock.ts. */
  clockFile: string;
  /** Whose labels are swapped; see examples/spam-filter/poison.ts. */
  poisonFile: string;
  /** While it is there, trained models are slow; see examples/spam-filter/incident/train.ts. */
  slowCandidateFile: string;
  resultFile: string;
  chartFile: string;
  /** Lets the next demo have the folder. */
  release(): void;
}

/**
 * An empty state folder that is this demo's alone, so that every run begins the same. What an earlier demo left running
 * there is stopped first. Only a folder that a demo made is emptied.
 * @throws Refused when it is another's folder, or somebody is at work in it
 */
export async function freshHome(path: string): Promise<DemoHome> {
  const layout = stateLayout(path);
  const { home } = layout;
  const lock = tryLock(dirname(home), `${basename(home)}.lock`);
  if (!lock.acquired)
    throw new Refused(`another demo runs in ${home} (process ${lock.holder.pid}): wait, or use --home`);
  try {
    await clear(layout);
    await mkdir(home, { recursive: true, mode: 0o700 });
    await writeFile(join(home, marker), `${JSON.stringify({ schema: 'goto3/demo-home/v1' })}\n`);
  } catch (error) {
    lock.release();
    throw error;
  }
  return {
    layout,
    clockFile: join(home, 'clock.json'),
    poisonFile: join(home, 'poison.json'),
    slowCandidateFile: join(home, 'slow-candidate'),
    resultFile: join(home, 'result.json'),
    chartFile: join(home, 'demo.svg'),
    release: lock.release,
  };
}

async function clear(layout: StateLayout): Promise<void> {
  const { home } = layout;
  if (!existsSync(home) || readdirSync(home).length === 0) return;
  if (!existsSync(join(home, marker)))
    throw new Refused(`${home} was not made by a demo, and a demo empties its folder: choose another --home`);
  const holder = stackHolder(layout);
  if (holder)
    throw new Refused(`process ${holder.pid} runs a stack in ${home}: stop it with GOTO3_HOME=${home} goto3 down`);
  await bringDown(layout);
  await endJobs(layout.jobs);
  // The marker stays to the end: killed half-way, the next demo may go on emptying.
  for (const name of readdirSync(home))
    if (name !== marker) await rm(join(home, name), { recursive: true, force: true });
}

/**
 * Asks the jobs of a stopped stack to leave: they save a checkpoint, and the next `up` goes on from it (DESIGN §6). Jobs
 * outlive their worker on purpose, so stopping the workers is not enough. Resolves when none runs any more.
 */
export async function endJobs(jobsFolder: string): Promise<void> {
  const names = await readdir(jobsFolder).catch(() => []);
  await Promise.all(names.map((name) => endJob(join(jobsFolder, name))));
}

async function endJob(path: string): Promise<void> {
  const folder = jobFolderAt(path);
  if (!(await isThere(folder.record)) || (await isThere(folder.exit))) return;
  const held = await readClaim(folder);
  if (held?.claim.by !== 'wrapper') return;
  const { claim } = held;
  const lives = (): boolean => liveness(claim, thisMachine(claim.host)) === 'alive';
  if (lives()) signalProcess(claim, 'SIGTERM');
  // The wrapper kills a program that does not leave by itself, so this ends.
  while (lives() && !(await isThere(folder.exit))) await new Promise((wake) => setTimeout(wake, 50));
}
