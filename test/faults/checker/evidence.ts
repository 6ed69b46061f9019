import type { CaptureRecord, DesiredState } from '../../../src/contracts/endpoint.ts';
import type { Manifest } from '../../../src/contracts/manifests.ts';
import type { ExitRecord } from '../../../src/jobs/local/job-folder.ts';
import type { Ref } from '../../../src/store/types.ts';

/**
 * What a run left behind, as plain data: the checker needs no server, no store and no process, so that every invariant can
 * be shown to fail on evidence that was made up (invariants.test.ts).
 */
export interface Evidence {
  /** What was asked of the stack and answered with anything but an error. */
  commands: Acknowledged[];
  /** Every ref's whole log, oldest entry first. */
  refs: Record<string, Ref[]>;
  /** By digest. */
  manifests: Record<string, Manifest>;
  /** Desired states, by digest. */
  desired: Record<string, DesiredState>;
  /** Digests of verdicts that do not come out again from their inputs, byte for byte. */
  verdictsThatDiffer: string[];
  /** What `store verify` finds. */
  storeProblems: string[];
  jobs: JobEvidence[];
  /** Noted by the trainers themselves. */
  starts: { job: string; pid: number }[];
  histories: HistoryEvidence[];
  /** By endpoint. */
  captures: Record<string, CaptureRecord[]>;
  /** By endpoint: what a client sent and what it got. */
  requests: Record<string, ClientRequest[]>;
  /** When endpoints were killed: evidence of the moments before it may be missing, and nothing else. */
  endpointKillsMs: number[];
  /** How far apart two readings of the stack's clock may be at one instant of the real time: 0 where it never jumped. */
  clockSpreadMs: number;
  /** Files, workflows and processes in which the planted secret was found. */
  secretIn: string[];
  /** Processes that outlived the stack; null while it runs. */
  processesLeft: number[] | null;
}

export type Acknowledged =
  | { kind: 'retrain'; loop: string; cycle: number }
  | { kind: 'apply'; loop: string; specDigest: string }
  | { kind: 'deliver'; loop: string; rows: number };

export interface JobEvidence {
  /** `<loop>/<n>/<step>/<attempt>` */
  name: string;
  submittedAt: string;
  /** Who took a claim, in order. */
  claims: ('wrapper' | 'cancel')[];
  exit: ExitRecord | null;
}

export interface HistoryEvidence {
  workflowId: string;
  runId: string;
  events: number;
  /** Why it does not replay on this code; null when it does. */
  replayFailure: string | null;
  /** Jobs that it asked for, in order. */
  submitted: string[];
}

export interface ClientRequest {
  inferenceId: string;
  atMs: number;
  /** Null: the connection broke. */
  status: number | null;
  /** When the answer came; absent while there is none. */
  answeredAtMs?: number;
  /** Who answered, by the endpoint's word. */
  variant?: string;
}

/** What is wrong, with the counterexample in its text. */
export type Invariant = (evidence: Evidence) => string[];
