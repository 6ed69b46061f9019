import { isName } from './names.ts';

/** A run of a workload is named by the workload and its key; the key is the caller's, so that asking twice is asking once. */
export interface WorkloadRun {
  workload: string;
  key: string;
}

export const workloadIds = {
  workload: ({ workload, key }: WorkloadRun): string => `workload/${workload}/${key}`,
  wave: ({ workload, key }: WorkloadRun, n: number): string => `wave/${workload}/${key}/${n}`,
  /** Key of a job's effects; attempts are numbered below it. */
  job: ({ workload, key }: WorkloadRun, job: string): string => `workload/${workload}/${key}/${job}`,
} as const;

export const workloadRefs = {
  /** What was submitted; a further entry is a changed file that a resume brought. */
  submitted: ({ workload, key }: WorkloadRun): string => `workloads/${workload}/${key}/submitted`,
  /** One entry per end of a job. */
  end: ({ workload, key }: WorkloadRun, job: string): string => `workloads/${workload}/${key}/ends/${job}`,
  /** One entry per end of the run. */
  report: ({ workload, key }: WorkloadRun): string => `workloads/${workload}/${key}/report`,
} as const;

/** `option-pricing/2026-11-24`; undefined for anything else. */
export function parseWorkloadId(id: string): WorkloadRun | undefined {
  const [workload, key, ...rest] = id.replace(/^workload\//, '').split('/');
  return isName(workload) && isName(key) && rest.length === 0 ? { workload, key } : undefined;
}
