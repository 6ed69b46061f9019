import type { Prediction } from '../../../contracts/model.ts';
import type { ErrorMessage } from '../../errors.ts';
import type { InputRow } from '../../features/rows.ts';

/**
 * What the endpoint and its inference process say to each other. A *lane* is one thread that holds one session of one
 * model and works on one batch at a time; its number is chosen by the endpoint and never used twice.
 */
export type ToInference =
  | { op: 'open'; lane: number; modelFolder: string }
  /** One batch: the rows of each waiting request. Sent only to an open, idle lane. */
  | { op: 'run'; lane: number; requests: InputRow[][] }
  /** Releases the session; sent only to an idle lane. */
  | { op: 'shut'; lane: number };

/** What a lane says. */
export type FromLane =
  | { op: 'opened'; lane: number }
  | { op: 'notOpened'; lane: number; error: ErrorMessage }
  /** One result per request, in order. */
  | { op: 'ran'; lane: number; results: RunResult[] }
  /** The thread is free again; stays inside the process. */
  | { op: 'closed'; lane: number };

/** What the process says of itself, every second: its resident memory. */
export interface MemoryReport {
  op: 'memory';
  residentBytes: number;
}

export type FromInference = FromLane | MemoryReport;

export type RunResult = { predictions: Prediction[] } | { error: ErrorMessage };
