import { nodesOf, resourcesOf, runsOnOf, tasksOf } from '../jobs/workload/compile.ts';
import { estimate, type JobEstimate, type WorkloadEstimate } from '../jobs/workload/estimate.ts';
import { cutIntoWaves, levelsOf } from '../jobs/workload/waves.ts';
import type { WorkloadFileContent } from './workload-file.ts';

export interface PlannedJob extends JobEstimate {
  /** 0: needs nothing. */
  level: number;
  runsOn: string;
  needs: Record<string, 'succeeded' | 'finished' | 'each'>;
  array: { tasks: string; atOnce: number } | null;
  nodes: number;
  /** Processes of one task of the array, or of the job. */
  processes: number;
  cpusPerTask: number;
  memoryPerNodeBytes: number;
  timeLimitMs: number;
  partitions: string[];
}

/** What a workload would do: its DAG, waves, and what it takes at most. Reads and starts nothing. */
export interface WorkloadPlan extends Omit<WorkloadEstimate, 'jobs'> {
  workload: string;
  jobs: PlannedJob[];
  waves: { jobs: number; needs: number[] }[];
  notes: string[];
}

export function planWorkload({ spec, notes }: Pick<WorkloadFileContent, 'spec' | 'notes'>): WorkloadPlan {
  const needs = Object.fromEntries(Object.entries(spec.jobs).map(([name, job]) => [name, Object.keys(job.needs)]));
  const levels = levelsOf(needs);
  const { jobs, ...whole } = estimate(spec);
  return {
    workload: spec.workload,
    ...whole,
    jobs: jobs.map((one): PlannedJob => {
      const job = spec.jobs[one.job]!;
      const { asked } = resourcesOf(job);
      return {
        ...one,
        level: levels.get(one.job)!,
        runsOn: runsOnOf(spec, job),
        needs: job.needs,
        array: job.array ?? null,
        nodes: nodesOf(job),
        processes: tasksOf(job),
        cpusPerTask: asked.cpus,
        memoryPerNodeBytes: asked.memoryBytes,
        timeLimitMs: asked.timeLimitMs,
        partitions: job.partitions ?? [],
      };
    }),
    waves: cutIntoWaves(needs).map((wave) => ({ jobs: wave.jobs.length, needs: wave.needs })),
    notes,
  };
}

/** Jobs of each level, in the order of the file. */
export function byLevel(jobs: readonly PlannedJob[]): PlannedJob[][] {
  const levels: PlannedJob[][] = Array.from({ length: 1 + Math.max(...jobs.map(({ level }) => level)) }, () => []);
  for (const job of jobs) levels[job.level]!.push(job);
  return levels;
}
