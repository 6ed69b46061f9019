import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { Digest } from '../contracts/digest.ts';
import type { CaptureRecord } from '../contracts/endpoint.ts';
import type { Model } from '../contracts/manifests.ts';

/** Immutable bytes by SHA-256. Every read verifies; bytes that do not match throw `CorruptBlob`. */
export interface BlobStore {
  /** Streams; putting bytes that exist already renews their age for garbage collection. */
  put(body: Readable | Uint8Array): Promise<Digest>;
  /**
   * Puts an open file, from its first byte; where a backend has it, it is cheaper than a stream of the file. What is
   * stored is what was read: a file that changes meanwhile is stored as one reading found it, or refused (`InvalidInput`).
   */
  putFile?(handle: FileHandle): Promise<{ digest: Digest; sizeBytes: number }>;
  /** Throws `NotFound`; the stream errors with `CorruptBlob` at its end when the bytes do not match. */
  get(digest: Digest): Promise<Readable>;
  /** Whole and verified; for manifests and other small blobs. */
  read(digest: Digest): Promise<Uint8Array>;
  has(digest: Digest): Promise<boolean>;
  sizeBytes(digest: Digest): Promise<number>;
}

/** One entry of a ref's log. */
export interface Ref {
  name: string;
  /** 1, 2, 3 …: the position in the log, and for some refs the number people see (cycle, version). */
  entry: number;
  digest: Digest;
  /** Names the effect; the same key written again is a lost reply, not a conflict. */
  operation: string;
  by: string;
  reason: string;
  /** ISO. */
  time: string;
}

export interface Why {
  operation: string;
  by: string;
  reason: string;
}

/** Mutable names, each an append-only log whose entry n+1 is created exclusively (DESIGN §3). */
export interface RefStore {
  /** The newest entry, or the newest at a time; undefined when there was none. */
  read(name: string, at?: Date): Promise<Ref | undefined>;
  /** Newest first; from an entry on when one is given. */
  history(name: string, from?: number): AsyncIterable<Ref>;
  /**
   * Appends an entry when the newest one is `expected`. The same operation key already written at that place returns its
   * entry. Anything else throws `RefConflict` and names who moved the ref. `expected` comes from workflow state, never
   * from a read in the same activity: that is the fence against a late worker.
   */
  compareAndSet(name: string, expected: Ref | undefined, next: Digest, why: Why): Promise<Ref>;
  /**
   * Appends an entry behind whatever is the newest, for logs that many may write (versions, reports, pins): the operation
   * key makes it once, also when it comes again long after. What it costs does not grow with the log.
   */
  append(name: string, next: Digest, why: Why): Promise<Ref>;
  /** Names of refs below a prefix such as `loops/` or `models/spam-filter/`, sorted. */
  list(prefix: string): AsyncIterable<string>;
}

/** Evidence that an endpoint leaves: append-only segments by endpoint and replica. */
export interface CaptureLog {
  append(endpoint: string, replica: string, records: readonly CaptureRecord[]): Promise<void>;
  /** Records after the cursor, at most about `limit`; pass the new cursor back to read on. */
  read(endpoint: string, cursor?: string, limit?: number): Promise<{ records: CaptureRecord[]; cursor: string }>;
  /**
   * Records with one of these inference ids that are not older than a time, in no order; one may come twice. What it costs
   * follows the number of ids and of packs in that time, not the number of records.
   */
  find(endpoint: string, ids: ReadonlySet<string>, sinceMs?: number): AsyncIterable<CaptureRecord>;
  /** The cursor behind everything that is there now. */
  tail(endpoint: string): Promise<string>;
}

/** What `putManifest` and `getManifest` do with models besides, where there is a policy (docs/security.md). */
export interface ModelSigning {
  /** After it was put. */
  sign(digest: Digest, model: Model): Promise<void>;
  /** Throws `SignatureRefused` for a model whose bytes must not be used. */
  verify(digest: Digest, model: Model): Promise<void>;
}

export interface Store {
  /** `file:///abs/path` or `s3://bucket/prefix`; what another process opens. */
  readonly url: string;
  readonly blobs: BlobStore;
  readonly refs: RefStore;
  readonly captures: CaptureLog;
  readonly signing?: ModelSigning;
}
