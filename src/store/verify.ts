import { z } from 'zod';
import { type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { Manifest } from '../contracts/manifests.ts';
import { parseJson } from './canonical-json.ts';
import { CorruptBlob, CorruptLog, InvalidInput, NotFound } from './errors.ts';
import { defaultRetentionMs, entriesInForce } from './in-force.ts';
import { kindOf, maxDocumentBytes } from './manifests.ts';
import type { KeptStore } from './upkeep.ts';

export interface StoreProblem {
  what: 'corruptBlob' | 'brokenLog' | 'missingBlob' | 'missingParent' | 'badManifest';
  /** The blob's digest, or the ref and its entry. */
  where: string;
  detail: string;
}

export interface VerifyReport {
  blobs: number;
  bytes: number;
  refs: number;
  problems: StoreProblem[];
}

export interface VerifyOptions {
  /** Blobs of ref entries that were replaced before this may have been collected; as for garbage collection, 90 days. */
  retentionMs?: number;
  now?: Date;
  /** Blobs that were deleted on purpose, by pruning: a manifest that needs one has no problem. */
  absent?: ReadonlySet<Digest>;
  /** Called after every blob. */
  onProgress?: (done: { blobs: number; bytes: number }) => void;
}

const manifestKinds = new Set<unknown>(Manifest.options.map((manifest) => manifest.shape.kind.value));

/** Digests in manifests that name bytes outside the store. */
const notStored = new Set(['programDigest']);

/**
 * Reads the whole store: every blob has the bytes that its name says, every ref's log is complete and chained and its
 * blobs are there, every manifest is valid and has its parents and parts. Finds, never repairs, and stops at nothing.
 */
export async function verifyStore(store: KeptStore, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { retentionMs = defaultRetentionMs, now = new Date(), absent = new Set(), onProgress } = options;
  const report: VerifyReport = { blobs: 0, bytes: 0, refs: 0, problems: [] };
  for await (const { digest, sizeBytes } of store.upkeep.blobs()) {
    report.problems.push(...(await blobProblems(store, digest, sizeBytes, absent)));
    report.blobs += 1;
    report.bytes += sizeBytes;
    onProgress?.({ blobs: report.blobs, bytes: report.bytes });
  }
  const since = new Date(now.getTime() - retentionMs);
  for await (const name of store.refs.list('')) {
    report.problems.push(...(await refProblems(store, name, since)));
    report.refs += 1;
  }
  return report;
}

async function blobProblems(
  store: KeptStore,
  digest: Digest,
  sizeBytes: number,
  absent: ReadonlySet<Digest>,
): Promise<StoreProblem[]> {
  try {
    const document = await hashed(store, digest, sizeBytes);
    if (!manifestKinds.has(kindOf(document))) return [];
    return await manifestProblems(store, digest, document, absent);
  } catch (error) {
    if (error instanceof CorruptBlob) return [{ what: 'corruptBlob', where: digest, detail: error.message }];
    // A collection runs beside us: the blob was listed and is gone.
    if (error instanceof NotFound) return [];
    throw error;
  }
}

/** Reads all of the blob, and returns it decoded if it is a JSON object. */
async function hashed(store: KeptStore, digest: Digest, sizeBytes: number): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let isDocument = sizeBytes <= maxDocumentBytes;
  for await (const chunk of await store.upkeep.origin(digest)) {
    if (chunks.length === 0) isDocument &&= (chunk as Uint8Array)[0] === '{'.charCodeAt(0);
    if (isDocument) chunks.push(chunk as Uint8Array);
  }
  if (!isDocument || chunks.length === 0) return undefined;
  try {
    return parseJson(Buffer.concat(chunks), digest);
  } catch (error) {
    if (error instanceof InvalidInput) return undefined;
    throw error;
  }
}

async function manifestProblems(
  store: KeptStore,
  where: Digest,
  document: unknown,
  absent: ReadonlySet<Digest>,
): Promise<StoreProblem[]> {
  const decoded = Manifest.safeParse(document);
  if (!decoded.success) return [{ what: 'badManifest', where, detail: z.prettifyError(decoded.error) }];
  const parents = new Set<Digest>(decoded.data.parents);
  const problems: StoreProblem[] = [];
  for (const needed of new Set(digestsIn(decoded.data))) {
    if (absent.has(needed) || (await store.blobs.has(needed))) continue;
    const what = parents.has(needed) ? 'missingParent' : 'missingBlob';
    problems.push({ what, where, detail: `the ${decoded.data.kind} needs ${needed}` });
  }
  return problems;
}

async function refProblems(store: KeptStore, name: string, since: Date): Promise<StoreProblem[]> {
  const problems: StoreProblem[] = [];
  for await (const { entry, detail } of store.upkeep.checkLog(name))
    problems.push({ what: 'brokenLog', where: `${name} entry ${entry}`, detail });
  try {
    for await (const { entry, digest } of entriesInForce(store.refs, name, since))
      if (!(await store.blobs.has(digest)))
        problems.push({ what: 'missingBlob', where: `${name} entry ${entry}`, detail: `it points to ${digest}` });
  } catch (error) {
    // `checkLog` has reported the entry; the ones before it cannot be told in or out of retention.
    if (!(error instanceof CorruptLog)) throw error;
  }
  return problems;
}

function* digestsIn(value: unknown): Iterable<Digest> {
  if (typeof value === 'string' && DigestSchema.safeParse(value).success) yield value as Digest;
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) if (!notStored.has(key)) yield* digestsIn(member);
}
