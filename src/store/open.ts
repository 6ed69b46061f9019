import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isS3Address } from '../contracts/s3-address.ts';
import { InvalidInput } from './errors.ts';
import { type Durability, openFsStore } from './fs/store.ts';
import { openS3Store, type S3StoreOptions } from './s3/store.ts';
import type { KeptStore } from './upkeep.ts';

export interface StoreOptions {
  /** Of a store on disk: `fast` leaves out fsync, for tests. */
  durability?: Durability;
  /** Of a store in a bucket. */
  s3?: S3StoreOptions;
}

/**
 * Opens a store by its address: `file:///abs/path`, the absolute path itself, or `s3://bucket/prefix`. Throws
 * `InvalidInput` for any other, and `StoreUnavailable` for a bucket that does not let us in.
 */
export async function openStore(url: string, { durability, s3 }: StoreOptions = {}): Promise<KeptStore> {
  if (isS3Address(url)) return await openS3Store(url, s3);
  return await openFsStore(folderOf(url), durability === undefined ? {} : { durability });
}

function folderOf(url: string): string {
  if (isAbsolute(url)) return resolve(url);
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address?.protocol !== 'file:') {
    // The rest may be a presigned address or hold a password.
    const found = address ? `the scheme "${address.protocol}//"` : JSON.stringify(url);
    throw new InvalidInput(
      `store: expected "file:///absolute/path", an absolute path or "s3://bucket/prefix", got ${found}`,
    );
  }
  // What a URL parser and a path parser read differently is refused, not guessed.
  if (address.search || address.hash || address.host || !url.startsWith('file:///') || /%2f|%00|\\/i.test(url))
    throw new InvalidInput(
      `store: expected "file:///absolute/path" without host, "?" or "#", got ${JSON.stringify(url)}`,
    );
  return resolve(fileURLToPath(address));
}
