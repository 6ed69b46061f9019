import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { CycleReport } from '../../../src/contracts/manifests.ts';
import { type ExitRecord, type JobFolder, jobFolderOf } from '../../../src/jobs/local/job-folder.ts';
import { getManifest } from '../../../src/store/manifests.ts';
import { eventually } from '../../temporal.ts';
import { LoopUnderFault } from './loop.ts';
import type { StackUnderFault } from './stack.ts';

/** Some four seconds of training: a machine that is busy elsewhere makes it longer, never shorter. */
export const training = { kind: 'resumable', epochs: 1_000 } as const;

export const jobOf = (stack: StackUnderFault, loop: LoopUnderFault, attempt = 1): JobFolder =>
  jobFolderOf(stack.layout.jobs, `${loop.name}/1/train/${attempt}`);

/** A loop whose trainer has saved a checkpoint and has seconds of work before it. */
export async function inTraining(stack: StackUnderFault, name: string): Promise<LoopUnderFault> {
  const loop = await LoopUnderFault.write(stack, name, { trainer: training });
  await loop.apply();
  const { progress } = jobOf(stack, loop);
  await eventually(
    `${name} is in the middle of its training`,
    async () => {
      const { fraction } = JSON.parse(await readFile(progress, 'utf8')) as { fraction: number };
      assert.ok(fraction < 0.9, `the training is too short for this machine: ${fraction} at the first look`);
      return fraction > 0.15;
    },
    60_000,
  );
  return loop;
}

/** How an attempt ended, once it has. */
export async function exitOf(stack: StackUnderFault, loop: LoopUnderFault, attempt = 1): Promise<ExitRecord> {
  const { exit } = jobOf(stack, loop, attempt);
  return JSON.parse(
    await eventually(`the end of ${loop.name} is recorded`, () => readFile(exit, 'utf8')),
  ) as ExitRecord;
}

/** SHA-256 of the weights that a cycle approved. */
export async function weightsOf(stack: StackUnderFault, report: CycleReport): Promise<string> {
  assert.equal(report.outcome, 'approved', report.detail);
  const { files } = await getManifest(stack.goto3.store, report.candidate!, 'Model');
  return files.find(({ path }) => path === 'model.onnx')!.digest;
}

const calm = new WeakMap<StackUnderFault, Promise<string>>();

/** The weights of a run that nobody disturbs: those of every run on the same rows, if resuming is exact. */
export function undisturbedWeights(stack: StackUnderFault): Promise<string> {
  const known = calm.get(stack);
  if (known) return known;
  const made = LoopUnderFault.write(stack, 'calm', { trainer: training }).then(async (loop) => {
    await loop.apply();
    return await weightsOf(stack, await loop.report(1));
  });
  calm.set(stack, made);
  return made;
}
