import { heartbeat, sleep } from '@temporalio/activity';
import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import { taskQueues } from '../../src/contracts/names.ts';
import type { EndedJob, PreparedJob, WaveJob } from '../../src/contracts/workload-messages.ts';
import { workloadIds } from '../../src/contracts/workload-names.ts';
import { cutIntoWaves, type Needs } from '../../src/jobs/workload/waves.ts';
import { workload } from '../../src/workflows/index.ts';
import { digestOf } from './world.ts';

const resources = { gpus: 0, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };

/** The store and the runner of one workload, in memory: enough for the workflows to be what they are. */
export class WorkloadWorld {
  needs: Needs = {};
  readonly fails = new Set<string>();
  readonly hangs = new Set<string>();
  readonly ended = new Map<string, EndedJob>();
  readonly runs: string[] = [];
  running = 0;
  mostAtOnce = 0;
  readonly broken: string[] = [];
}

/** Worlds by workload; every run has the key `k`. */
export class WorkloadWorlds {
  readonly #worlds = new Map<string, WorkloadWorld>();

  of(name: string): WorkloadWorld {
    const world = this.#worlds.get(name) ?? new WorkloadWorld();
    this.#worlds.set(name, world);
    return world;
  }

  async start(
    client: Client,
    name: string,
    needs: Needs,
    onFailure: 'park' | 'end' = 'park',
  ): Promise<WorkflowHandleWithFirstExecutionRunId<typeof workload>> {
    this.of(name).needs = needs;
    return await client.workflow.start(workload, {
      workflowId: workloadIds.workload({ workload: name, key: 'k' }),
      taskQueue: taskQueues.control,
      args: [{ workload: name, key: 'k', specDigest: digestOf('spec'), onFailure, round: 1 }],
    });
  }

  activities() {
    const of = (name: string) => this.of(name);
    return {
      async openWorkload({ workload: name }: { workload: string }) {
        const world = of(name);
        const waves = cutIntoWaves(world.needs).map((wave, n) => ({ ...wave, n }));
        const open = waves.filter(({ jobs }) => jobs.some((job) => !done(world, job)));
        const numbers = new Set(open.map(({ n }) => n));
        return {
          jobs: Object.keys(world.needs).length,
          done: Object.keys(world.needs).filter((job) => done(world, job)).length,
          waves: open.map(({ n, needs }) => ({ n, needs: needs.filter((other) => numbers.has(other)) })),
        };
      },
      async loadWave({ workload: name, n }: { workload: string; n: number }): Promise<{ jobs: WaveJob[] }> {
        const world = of(name);
        const { jobs } = cutIntoWaves(world.needs)[n]!;
        return {
          jobs: jobs.map((job) => ({
            name: job,
            needs: world.needs[job]!.filter((other) => jobs.includes(other)).map((other) => [other, 'succeeded']),
            standing: done(world, job) ? 'done' : 'todo',
          })),
        };
      },
      async advanceWave({ workload: name, ended, start }: { workload: string; ended: EndedJob[]; start: string[] }) {
        const world = of(name);
        for (const end of ended) world.ended.set(end.job, end);
        for (const job of start)
          if (!world.needs[job]!.every((other) => done(world, other))) world.broken.push(`${job} before its needs`);
        return {
          prepared: start.map(
            (job): PreparedJob => ({
              ...{ job, key: `workload/${name}/k/${job}`, specDigest: digestOf('spec'), queue: 'gpu', resources },
              maxResources: resources,
              firstAttempt: (world.ended.get(job)?.lastAttempt ?? 0) + 1,
            }),
          ),
        };
      },
      async closeWorkload({ workload: name }: { workload: string }) {
        const world = of(name);
        const jobs = Object.keys(world.needs);
        const failures = jobs
          .filter((job) => world.ended.get(job)?.state === 'failed')
          .map((job) => ({ job, failureClass: 'userError', reason: 'no', lastAttempt: 1 }));
        const succeeded = jobs.filter((job) => done(world, job)).length;
        const cancelled = jobs.filter((job) => world.ended.get(job)?.state === 'cancelled').length;
        return {
          state: succeeded === jobs.length ? 'succeeded' : 'failed',
          ...{ jobs: jobs.length, succeeded, failed: failures.length, cancelled },
          skipped: jobs.length - succeeded - failures.length - cancelled,
          ...{ failures, report: digestOf('report') },
        };
      },
      async placeJob({ name }: { name: string }) {
        return { spec: name, queue: null, resources, isForeign: false };
      },
      async submitJob({ spec }: { spec: string }) {
        const { name, job } = partsOf(spec);
        const world = of(name);
        world.runs.push(job);
        world.running += 1;
        world.mostAtOnce = Math.max(world.mostAtOnce, world.running);
        return { runner: 'local', name: spec, specDigest: digestOf('spec'), externalId: spec };
      },
      async awaitJob({ ref }: { ref: { name: string } }) {
        const { name, job } = partsOf(ref.name);
        const world = of(name);
        while (world.hangs.has(job)) {
          await sleep(20);
          heartbeat();
        }
        world.running -= 1;
        return world.fails.has(job)
          ? { state: 'failed', failureClass: 'userError', reason: 'exit code 3', durationMs: 5 }
          : { state: 'succeeded', failureClass: null, reason: 'succeeded', durationMs: 5 };
      },
      async cancelJob() {},
      async collectJob() {
        return { model: null, output: digestOf('files'), metrics: {} };
      },
      async saveCheckpoint() {
        return { checkpoint: null };
      },
    };
  }
}

const done = ({ ended }: WorkloadWorld, job: string): boolean => ended.get(job)?.state === 'succeeded';

/** `workload/<name>/k/<job>/<attempt>` */
function partsOf(spec: string): { name: string; job: string } {
  const [, name, , job] = spec.split('/') as [string, string, string, string];
  return { name, job };
}
