import { taskNumbers } from '../../contracts/workload-array.ts';
import type { WorkloadJob, WorkloadSpec } from '../../contracts/workload-spec.ts';
import { nodesOf, resourcesOf, runsOnOf, tasksOf } from './compile.ts';
import { levelsOf } from './waves.ts';

export interface JobEstimate {
  job: string;
  /** Tasks of its array; 1 without one. */
  tasks: number;
  /** From its start to its end at most, with its array's cap, were there nodes enough. */
  longestMs: number;
  nodeHours: number;
  coreHours: number;
  gpuHours: number;
  /** US dollars, where the file has a price for its first partition. */
  dollars: number | null;
}

export interface WorkloadEstimate {
  jobs: JobEstimate[];
  /** The longest chain of needs. */
  longestMs: number;
  longestChain: string[];
  nodeHours: number;
  coreHours: number;
  gpuHours: number;
  /** Null when a job that runs on a cluster has no price. */
  dollars: number | null;
}

const hourMs = 3_600_000;

/** What a workload takes at most: every job for the whole time it asks for, once. Retries come on top. Pure. */
export function estimate(spec: WorkloadSpec): WorkloadEstimate {
  const jobs = Object.entries(spec.jobs).map(([name, job]) => estimateJob(spec, name, job));
  const byName = new Map(jobs.map((one) => [one.job, one]));
  const levels = levelsOf(
    Object.fromEntries(Object.entries(spec.jobs).map(([name, { needs }]) => [name, Object.keys(needs)])),
  );
  const ends = new Map<string, { ms: number; before: string | undefined }>();
  for (const [name] of [...levels].sort(([, a], [, b]) => a - b)) {
    const needed = Object.keys(spec.jobs[name]!.needs);
    const last = needed.reduce<string | undefined>(
      (a, b) => (a === undefined || ends.get(b)!.ms > ends.get(a)!.ms ? b : a),
      undefined,
    );
    const from = last === undefined ? 0 : ends.get(last)!.ms;
    ends.set(name, { ms: from + byName.get(name)!.longestMs, before: last });
  }
  let at = [...ends].reduce<[string, number]>((a, [name, { ms }]) => (ms > a[1] ? [name, ms] : a), ['', 0])[0];
  const longestMs = ends.get(at)?.ms ?? 0;
  const longestChain: string[] = [];
  while (at !== '') {
    longestChain.unshift(at);
    at = ends.get(at)?.before ?? '';
  }
  const sum = (of: (one: JobEstimate) => number): number => jobs.reduce((total, one) => total + of(one), 0);
  const priced = jobs.filter(({ job }) => runsOnOf(spec, spec.jobs[job]!) !== 'local');
  return {
    jobs,
    longestMs,
    longestChain,
    nodeHours: sum((one) => one.nodeHours),
    coreHours: sum((one) => one.coreHours),
    gpuHours: sum((one) => one.gpuHours),
    dollars:
      priced.length === 0 || priced.some((one) => one.dollars === null)
        ? null
        : priced.reduce((total, one) => total + one.dollars!, 0),
  };
}

function estimateJob(spec: WorkloadSpec, name: string, job: WorkloadJob): JobEstimate {
  const { asked } = resourcesOf(job);
  const tasks = job.array ? taskNumbers(job.array.tasks).length : 1;
  const rounds = job.array ? Math.ceil(tasks / job.array.atOnce) : 1;
  const hours = (tasks * asked.timeLimitMs) / hourMs;
  const price = job.partitions === undefined ? undefined : spec.prices?.[job.partitions[0]!];
  const nodeHours = hours * nodesOf(job);
  return {
    job: name,
    tasks,
    longestMs: rounds * asked.timeLimitMs,
    nodeHours,
    coreHours: hours * tasksOf(job) * asked.cpus,
    gpuHours: nodeHours * asked.gpus,
    dollars: price === undefined ? null : nodeHours * price.perNodeHour,
  };
}
