import type { Readable } from 'node:stream';
import type { Digest } from '../contracts/digest.ts';
import type { Store } from './types.ts';

export interface StoredBlob {
  digest: Digest;
  sizeBytes: number;
  /** When the blob was last put. */
  renewedAt: Date;
}

/** A fault in a ref's log that reading alone does not show. */
export interface LogProblem {
  entry: number;
  detail: string;
}

/** What captures need so that years of them stay cheap to read. */
export interface CaptureUpkeep {
  /** Endpoints with captures. */
  endpoints(): Promise<string[]>;
  /** Puts many small segments into few packs; readers notice nothing. One replica's, or all of an endpoint's. */
  pack(endpoint: string, replica?: string): Promise<{ segments: number; packs: number }>;
  /** Drops what is older than a time, by whole packs, and replicas that wrote nothing since; in a dry run, says what. */
  dropOlder(
    endpoint: string,
    options: { olderThan: Date; dryRun: boolean },
  ): Promise<{ packs: number; replicas: number; bytes: number }>;
}

/** What verification and garbage collection need of a backend, and nobody else does. */
export interface StoreUpkeep {
  blobs(): AsyncIterable<StoredBlob>;
  /** As `blobs.get`, from the medium itself, past any cache. */
  origin(digest: Digest): Promise<Readable>;
  /**
   * Deletes a blob that was not put since `olderThan`; the age is looked at again at the very moment of deletion. Returns
   * false when the blob is gone already or was renewed.
   */
  deleteIfOlder(digest: Digest, olderThan: Date): Promise<boolean>;
  /** Removes unfinished writes older than this; returns how many. */
  removeLeftovers(olderThan: Date): Promise<number>;
  /** Finishes deletions that a killed collection had begun. */
  finishDeletions(olderThan: Date): Promise<void>;
  readonly captures: CaptureUpkeep;
  /** Checks a log from its first entry to its last: every entry there, readable, and chained to the one before. */
  checkLog(name: string): AsyncIterable<LogProblem>;
}

export interface KeptStore extends Store {
  readonly upkeep: StoreUpkeep;
}
