/** What a submit says to Slurm, checked and in Slurm's own units. */
export interface Directives {
  name: string;
  comment: string;
  partition?: string;
  account?: string;
  qos?: string;
  reservation?: string;
  constraint?: string;
  exclusive?: true;
  /** `0-63%16` */
  array?: string;
  nodes: number;
  tasks: number;
  tasksPerNode?: number;
  cpusPerTask: number;
  memoryPerNodeMiB: number;
  gpusPerNode: number;
  timeMinutes: number;
  requeue: boolean;
  /** Absolute path; Slurm's stdout and stderr of the job's script, appended. */
  output: string;
  /** Absolute path. */
  workingDirectory: string;
}

export interface Submission {
  directives: Directives;
  /** The batch script: constant text. */
  script: string;
  /** The job's whole environment; nothing of the submitter's own. It may hold secrets. */
  environment: Readonly<Record<string, string>>;
}

/** One job, or one task of an array, as the cluster tells it. */
export interface SlurmJob {
  /** `123`, or `123_4` for task 4 of array 123. */
  id: string;
  name: string;
  /** Slurm's words, upper case; older versions give one, newer ones a base state and flags. */
  states: readonly string[];
  reason: string;
  nodes: string;
}

/** One cluster; two ways to talk to it, which know nothing of our jobs. */
export interface SlurmTransport {
  /** Returns the id of the job or of the whole array. Throws `SubmitRejected`, `ClusterUnavailable` (nothing was sent) or `SubmitUnclear`. */
  submit(submission: Submission): Promise<string>;
  /** Jobs of our user that the controller still remembers, ended ones too. Throws `ClusterUnavailable`. */
  queue(): Promise<SlurmJob[]>;
  /** What accounting has recorded of these ids, or of this name; undefined where the cluster keeps no accounts. */
  accounting(which: { ids: readonly string[] } | { name: string; sinceMs: number }): Promise<SlurmJob[] | undefined>;
  /** Cancelling what has ended does nothing. Throws `ClusterUnavailable`. */
  cancel(ids: readonly string[]): Promise<void>;
}

/** `123` of `123_4`: the array of a task, or the job itself. */
export const wholeId = (id: string): string => id.split('_')[0]!;

/** Stands for all tasks of an array that wait, where the cluster does not list them. */
export const anyTask = (array: string): string => `${array}_*`;
