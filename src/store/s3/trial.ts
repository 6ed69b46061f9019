import { randomUUID } from 'node:crypto';
import { digestOf } from '../canonical-json.ts';
import { openBucket, type S3StoreOptions } from './store.ts';

/**
 * Writes one small object twice below the store's prefix, on condition that there is none, and removes it: whether the
 * server holds to the condition. @throws InvalidInput, StoreUnavailable that says what to change
 */
export async function refusesSecondWrite(url: string, options: S3StoreOptions): Promise<boolean> {
  const { bucket, root } = await openBucket(url, options);
  const key = `${root}/doctor/${randomUUID()}`;
  const bytes = Buffer.from('x');
  try {
    await bucket.create(key, bytes, digestOf(bytes));
    return (await bucket.create(key, bytes, digestOf(bytes))) === 'exists';
  } finally {
    await bucket.delete(key);
  }
}
