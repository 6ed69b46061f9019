/** What a submit says to Slurm, checked and in Slurm's own units. */
export interface Directives {
  name: string;
  comment: string;
  partition?: string;
  account?: string;
  qos?: string;
  reservation?: string;
  constraint?: string;
  nodes: number;
  tasks: number;
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

/** One job as the cluster tells it. */
export interface SlurmJob {
  id: string;
  name: string;
  /** Slurm's words, upper case; older versions give one, newer ones a base state and flags. */
  states: readonly string[];
  reason: string;
  nodes: string;
}

/** One cluster; two ways to talk to it, which know nothing of our jobs. */
export interface SlurmTransport {
  /** Returns the job id. Throws `SubmitRejected`, `ClusterUnavailable` (nothing was sent) or `SubmitUnclear`. */
  submit(submission: Submission): Promise<string>;
  /** Jobs of our user that the controller still remembers, ended ones too. Throws `ClusterUnavailable`. */
  queue(): Promise<SlurmJob[]>;
  /** What accounting has recorded of these ids, or of this name; undefined where the cluster keeps no accounts. */
  accounting(which: { ids: readonly string[] } | { name: string; sinceMs: number }): Promise<SlurmJob[] | undefined>;
  /** Cancelling what has ended does nothing. Throws `ClusterUnavailable`. */
  cancel(ids: readonly string[]): Promise<void>;
}
