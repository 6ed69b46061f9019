import { WorkloadJobEnd, WorkloadReport } from '../../contracts/workload-documents.ts';
import type { EndedJob, WaveJob, WorkloadActivities, WorkloadResult } from '../../contracts/workload-messages.ts';
import { type WorkloadRun, workloadRefs } from '../../contracts/workload-names.ts';
import { cutIntoWaves } from '../../jobs/workload/waves.ts';
import { putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { newestAttempt, prepareJob } from './prepare.ts';
import { readEnd, type Standing, type Submission, standingOf, submissionOf } from './standing.ts';

/** Failures that a result tells with their reason; the store has all. */
const toldFailures = 10;

/** What the workflows of a workload do with the store: read how it stands, record ends, prepare jobs. */
export function createWorkloadActivities({ store }: { store: Store }): WorkloadActivities {
  return {
    async openWorkload({ specDigest, ...run }) {
      const standing = await standingOf(store, run, specDigest);
      const todo = (jobs: readonly string[]): boolean => jobs.some((job) => !standing.done.has(job));
      const waves = wavesOf(standing).map((wave, n) => ({ ...wave, n }));
      const open = new Set(waves.filter(({ jobs }) => todo(jobs)).map(({ n }) => n));
      return {
        jobs: Object.keys(standing.needs).length,
        done: standing.done.size,
        waves: waves
          .filter(({ n }) => open.has(n))
          .map(({ n, needs }) => ({ n, needs: needs.filter((other) => open.has(other)) })),
      };
    },

    async loadWave({ specDigest, n, ...run }) {
      const standing = await standingOf(store, run, specDigest);
      const { jobs } = wavesOf(standing)[n]!;
      const inside = new Set(jobs);
      return { jobs: jobs.map((name) => waveJob(standing, inside, name)) };
    },

    async advanceWave({ specDigest, n: _n, ended, start, ...run }) {
      const submission = await submissionOf(store, specDigest);
      for (const end of ended) await recordEnd(store, run, end, submission);
      const prepared = [];
      for (const job of start) prepared.push(await prepareJob(store, run, submission, job));
      return { prepared };
    },

    async closeWorkload({ specDigest, round, ...run }) {
      return await close(store, run, await standingOf(store, run, specDigest), { specDigest, round });
    },
  };
}

const wavesOf = ({ needs }: Submission) => cutIntoWaves(needs);

function waveJob({ submitted, ends, done }: Standing, inside: ReadonlySet<string>, name: string): WaveJob {
  const needs = Object.entries(submitted.spec.jobs[name]!.needs);
  const blocked = needs.some(([other, how]) => {
    if (inside.has(other) || how === 'finished') return false;
    const end = ends.get(other);
    const partly = how === 'each' && end?.state === 'failed' && (end.tasks?.succeeded ?? 0) > 0;
    return end?.state !== 'succeeded' && !partly;
  });
  return {
    name,
    needs: needs.filter(([other]) => inside.has(other)),
    standing: done.has(name) ? 'done' : blocked ? 'blocked' : 'todo',
  };
}

async function recordEnd(store: Store, run: WorkloadRun, ended: EndedJob, { identityOf }: Submission): Promise<void> {
  const ref = workloadRefs.end(run, ended.job);
  const lastAttempt = ended.lastAttempt > 0 ? ended.lastAttempt : await newestAttempt(store, run, ended.job);
  const known = await readEnd(store, run, ended.job);
  // A retry of this activity, or a cancel that came when the end was recorded already.
  if (known && known.lastAttempt >= lastAttempt && ended.lastAttempt > 0) return;
  if (known && ended.state === 'cancelled' && known.lastAttempt >= lastAttempt && known.state !== 'cancelled') return;
  const document = await putJson(store, WorkloadJobEnd, {
    schema: 'goto3/workload-job-end/v1',
    ...ended,
    lastAttempt,
    identity: identityOf(ended.job),
    endedAt: new Date().toISOString(),
  });
  await store.refs.append(ref, document, {
    operation: `${ended.job} ${ended.state} after attempt ${lastAttempt}`,
    by: 'goto3',
    reason: ended.reason.slice(0, 500) || ended.state,
  });
}

async function close(
  store: Store,
  run: WorkloadRun,
  { submitted, ends, done, identityOf }: Standing,
  { specDigest, round }: { specDigest: WorkloadResult['report']; round: number },
): Promise<WorkloadResult> {
  const jobs = Object.keys(submitted.spec.jobs);
  const endOf = (job: string) => {
    const end = ends.get(job);
    return end?.identity === identityOf(job) ? end : undefined;
  };
  const failures = jobs.flatMap((job) => {
    const end = endOf(job);
    if (end?.state !== 'failed') return [];
    const { failureClass, reason, lastAttempt } = end;
    return [
      { job, failureClass: failureClass ?? ('infrastructure' as const), reason: reason.slice(0, 500), lastAttempt },
    ];
  });
  const cancelled = jobs.filter((job) => endOf(job)?.state === 'cancelled').length;
  const counts = {
    succeeded: done.size,
    failed: failures.length,
    cancelled,
    skipped: jobs.length - done.size - failures.length - cancelled,
  };
  // A job after `finished` may have succeeded beside a failed one, and runs again with it.
  const state = done.size === jobs.length ? 'succeeded' : 'failed';
  const report = await putJson(store, WorkloadReport, {
    schema: 'goto3/workload-report/v1',
    ...{ workload: run.workload, key: run.key, round, submitted: specDigest, state, jobs: jobs.length },
    ...counts,
    endedAt: new Date().toISOString(),
  });
  const why = { operation: `round ${round} of ${specDigest}`, by: 'goto3', reason: state };
  const ref = await store.refs.append(workloadRefs.report(run), report, why);
  return { state, jobs: jobs.length, ...counts, failures: failures.slice(0, toldFailures), report: ref.digest };
}
