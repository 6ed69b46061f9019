import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseS3Address } from '../../contracts/s3-address.ts';
import { canonicalBytes, digestOf } from '../canonical-json.ts';
import { InvalidInput } from '../errors.ts';
import { CaptureLogs } from '../logs/captures/log.ts';
import { captureUpkeep } from '../logs/captures/upkeep.ts';
import { hasCode } from '../logs/files.ts';
import { RefLogs } from '../logs/refs.ts';
import type { KeptStore } from '../upkeep.ts';
import { S3BlobStore } from './blobs.ts';
import { Bucket } from './bucket.ts';
import { ByteBudget } from './byte-budget.ts';
import { BlobCache } from './cache.ts';
import { type ClientOptions, s3Clients } from './client.ts';
import { readBody } from './download.ts';
import { bucketMedium } from './log-medium.ts';

export interface S3StoreOptions extends ClientOptions {
  /** Account that must own the bucket, 12 digits. */
  bucketOwner?: string;
  /** Id, alias or ARN of the key for SSE-KMS; else objects are encrypted as the bucket says. */
  kmsKey?: string;
  /** Blobs are kept on local disk, shared by the processes of a machine. */
  cache?: { folder: string; budgetBytes: number };
}

/** Bodies that are held in memory at once, over all puts of a process. */
const bodyBytes = 64 * 2 ** 20;

const layout = canonicalBytes({ schema: 'goto3/store/v1' });

/**
 * Opens the store below `s3://bucket/prefix`, and makes it on first use; the bucket must be there.
 * @throws InvalidInput for a bad address; StoreUnavailable that says what to change
 */
export async function openS3Store(url: string, options: S3StoreOptions = {}): Promise<KeptStore> {
  const { cache } = options;
  const { bucket, name, root } = await openBucket(url, options);
  await checkLayout(bucket, root);

  const address = `s3://${name}/${root}`;
  const cacheFolder = cache && join(cache.folder, digestOf(address).slice('sha256:'.length, 'sha256:'.length + 16));
  if (cacheFolder) await mkdir(cacheFolder, { recursive: true, mode: 0o700 });
  const blobs = new S3BlobStore({
    bucket,
    root,
    cache: cache && cacheFolder ? new BlobCache(cacheFolder, cache.budgetBytes) : undefined,
    spoolFolder: tmpdir(),
    budget: new ByteBudget(bodyBytes),
  });
  const medium = bucketMedium(bucket);
  const now = (): Date => new Date();
  const refs = new RefLogs(medium, root, now);
  const captures = new CaptureLogs(medium, root);
  return {
    url: address,
    blobs,
    refs,
    captures,
    upkeep: {
      origin: (digest) => blobs.origin(digest),
      blobs: () => blobs.all(),
      deleteIfOlder: (digest, olderThan) => blobs.deleteIfOlder(digest, olderThan),
      removeLeftovers: (olderThan) => blobs.removeLeftovers(olderThan),
      finishDeletions: () => blobs.finishDeletions(),
      captures: captureUpkeep(medium, captures, now),
      checkLog: (ref) => refs.checkLog(ref),
    },
  };
}

/** The bucket of a store's address, without a question to it yet. @throws InvalidInput for a bad address */
export async function openBucket(
  url: string,
  { bucketOwner, kmsKey, cache: _, ...client }: S3StoreOptions,
): Promise<{ bucket: Bucket; name: string; root: string }> {
  const { bucket: name, prefix: root } = parsed(url);
  const bucket = new Bucket(await s3Clients(client), {
    bucket: name,
    ...(bucketOwner && { expectedOwner: bucketOwner }),
    ...(kmsKey && { kmsKey }),
  });
  return { bucket, name, root };
}

function parsed(url: string): { bucket: string; prefix: string } {
  try {
    return parseS3Address(url);
  } catch (error) {
    throw new InvalidInput(`store: ${(error as Error).message}`);
  }
}

/** An object names the layout, so that another version's store is refused; it is also the first question to the bucket. */
async function checkLayout(bucket: Bucket, root: string): Promise<void> {
  const key = `${root}/store.json`;
  const expected = Buffer.from(layout).toString('utf8');
  const found = (await readIfThere(bucket, key)) ?? (await writeLayout(bucket, key));
  if (found !== expected)
    throw new InvalidInput(
      `store ${bucket.where(root)}: expected the layout ${expected}, found ${found.slice(0, 100)}`,
    );
}

async function writeLayout(bucket: Bucket, key: string): Promise<string> {
  await bucket.create(key, layout, digestOf(layout));
  return Buffer.from(await readBody(bucket, key)).toString('utf8');
}

async function readIfThere(bucket: Bucket, key: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readBody(bucket, key)).toString('utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
