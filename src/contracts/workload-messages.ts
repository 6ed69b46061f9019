import type { Digest } from './digest.ts';
import type { FailureClass } from './failures.ts';
import type { Answer, JobInput, Request } from './messages.ts';
import type { WorkloadRun } from './workload-names.ts';

/** Messages of the workload's workflows and its activities. They carry names, digests and counts, never results. */

export interface WorkloadInput extends WorkloadRun {
  /** The newest entry of what was submitted. */
  specDigest: Digest;
  onFailure: 'park' | 'end';
  /** Rises with every resume; 1 at first. */
  round: number;
  /** Requests that were answered, carried over rounds. */
  answers?: [requestId: string, answer: Answer][];
}

export interface WorkloadCounts {
  succeeded: number;
  failed: number;
  cancelled: number;
  /** Something that it needs did not succeed. */
  skipped: number;
}

export interface FailedJob {
  job: string;
  failureClass: FailureClass;
  reason: string;
  /** Of the attempt whose log says more. */
  lastAttempt: number;
}

export interface WorkloadResult extends WorkloadCounts {
  state: 'succeeded' | 'failed';
  jobs: number;
  /** The first that failed, in the order of the file. */
  failures: FailedJob[];
  report: Digest;
}

export interface WaveInput extends WorkloadRun {
  specDigest: Digest;
  n: number;
}

export interface WaveResult extends WorkloadCounts {
  failures: FailedJob[];
}

export interface WorkloadStatus extends WorkloadRun {
  state: 'running' | 'parked' | 'ending';
  round: number;
  jobs: number;
  /** Of the waves that have ended in this round, and of earlier rounds. */
  counts: WorkloadCounts;
  wavesRunning: number[];
  waves: number;
  failures: FailedJob[];
  waitsFor: string;
  command: string | null;
}

export interface WaveStatus {
  running: string[];
  waiting: number;
  counts: WorkloadCounts;
}

export interface ResumeWorkload extends Request {
  /** A changed file; what it leaves as it was and has succeeded does not run again. */
  specDigest?: Digest;
}

// ---------------------------------------------------------------- activities, on the control queue

/** `needs` of a job inside its wave, and what earlier waves mean for it. */
export interface WaveJob {
  name: string;
  needs: [job: string, how: 'succeeded' | 'finished' | 'each'][];
  /** `done`: it succeeded as it is now, in an earlier round. `blocked`: a need outside the wave did not succeed. */
  standing: 'todo' | 'done' | 'blocked';
}

export interface EndedJob {
  job: string;
  state: 'succeeded' | 'failed' | 'cancelled';
  failureClass: FailureClass | null;
  reason: string;
  /** 0: not known, because it was cancelled. */
  lastAttempt: number;
  output: Digest | null;
  /** Of an array. */
  tasks: { total: number; succeeded: number; manifest: Digest } | null;
  durationMs: number;
  gpuHours: number;
}

/** What the `job` workflow needs for one job. */
export interface PreparedJob extends JobInput {
  /** Its name in the file. */
  job: string;
}

export interface WorkloadActivities {
  openWorkload(input: WorkloadRun & { specDigest: Digest }): Promise<{
    jobs: number;
    done: number;
    /** Numbers of waves that hold something to do, and of those among them that each needs. */
    waves: { n: number; needs: number[] }[];
  }>;
  loadWave(input: WaveInput): Promise<{ jobs: WaveJob[] }>;
  /** Records ends, then prepares what can start now. Idempotent: a retry records and prepares the same. */
  advanceWave(input: WaveInput & { ended: EndedJob[]; start: string[] }): Promise<{ prepared: PreparedJob[] }>;
  closeWorkload(input: WorkloadRun & { specDigest: Digest; round: number }): Promise<WorkloadResult>;
}
