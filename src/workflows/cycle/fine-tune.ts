import type { SnapshotResult } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { JobResult } from '../../contracts/messages.ts';
import { heavy } from '../proxies.ts';
import { type CycleRun, enter, park } from './run.ts';
import { runJob } from './run-job.ts';

export type Trained = { state: 'trained'; model: Digest } | { state: 'diverged'; reason: string };

/** Steps 4 and 5: a Job on the gpu or hpc queue; a failure that no retry repairs waits for a person. */
export async function fineTune(run: CycleRun, data: SnapshotResult): Promise<Trained> {
  const { cycle, plan, known } = run;
  enter(cycle, 'train', `the fine-tune on ${data.trainRows} rows`);
  const { specDigest, queue = 'gpu' } = await heavy.prepareTraining({ plan, dataset: data.dataset });
  const key = `${plan.loop}/${plan.n}/train`;
  let resources = plan.resources;
  let firstAttempt = 1;
  while (true) {
    const result = await runJob(
      { key, specDigest, queue, resources, maxResources: plan.maxResources, firstAttempt },
      `fine-tune of ${plan.loop}, cycle ${plan.n}`,
    );
    known.gpuHours = (known.gpuHours ?? 0) + result.gpuHours;
    if (result.state === 'succeeded' && result.model) {
      cycle.forget('training failed');
      const { model } = await register(run, data, { key, specDigest, files: result.model, result });
      known.candidate = model;
      known.precision = 'fp32';
      return { state: 'trained', model };
    }
    if (result.failureClass === 'diverged') return { state: 'diverged', reason: result.reason };
    const failureClass = result.failureClass ?? 'userError';
    cycle.learn('training failed', `${failureClass}: ${result.reason}`);
    const word = await park(run, { kind: 'retry' }, `training failed (${failureClass}): ${result.reason}`, [
      `goto3 cycle retry ${plan.loop}/${plan.n} --reason "..."`,
      `goto3 job logs ${key}/${result.lastAttempt}`,
    ]);
    if (word.kind === 'retry') resources = { ...resources, ...word.resources };
    firstAttempt = result.lastAttempt + 1;
    enter(cycle, 'train', 'the fine-tune, again');
  }
}

async function register(
  { cycle, plan }: CycleRun,
  data: SnapshotResult,
  { key, specDigest, files, result }: { key: string; specDigest: Digest; files: Digest; result: JobResult },
): Promise<{ model: Digest }> {
  const { metrics, durationMs, lastAttempt } = result;
  const registered = await heavy.registerModel({
    ...{ plan, dataset: data.dataset, jobKey: key, jobSpec: specDigest },
    ...{ files, metrics, durationMs, attempts: lastAttempt },
  });
  const size = `${(registered.sizeBytes / 2 ** 20).toFixed(1)} MiB`;
  cycle.learn('trained', `${size} in ${(durationMs / 1000).toFixed(1)} s`);
  return registered;
}
