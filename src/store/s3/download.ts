import { buffer } from 'node:stream/consumers';
import { StoreUnavailable } from '../errors.ts';
import type { Bucket } from './bucket.ts';
import { typedFailure } from './failures.ts';
import { patiently } from './patience.ts';

/** Tries that brought nothing, one after the other, before a download gives up. */
const fruitlessTries = 6;

/**
 * The bytes of an object, in order. A connection that breaks, stalls or ends early is taken up again where it broke, by
 * range; what arrived counts, and only tries without a byte wear patience out. There is no `If-Match` on the rest: who
 * reads a blob checks its digest at the end, and an object that was renewed meanwhile has the same bytes and another ETag.
 *
 * The first request has been made when this resolves. @throws ENOENT, StoreUnavailable
 */
export async function openDownload(
  bucket: Bucket,
  key: string,
  range?: { offset: number; lengthBytes: number },
): Promise<{ sizeBytes: number; chunks: AsyncGenerator<Uint8Array>; close: () => void }> {
  const first = await bucket.get(key, range);
  return {
    sizeBytes: first.sizeBytes,
    chunks: resumed(bucket, key, range?.offset ?? 0, first),
    close: () => void first.body.destroy(),
  };
}

async function* resumed(
  bucket: Bucket,
  key: string,
  start: number,
  first: { body: AsyncIterable<unknown>; sizeBytes: number },
): AsyncGenerator<Uint8Array> {
  const { sizeBytes } = first;
  let received = 0;
  let fruitless = 0;
  for (let body = first.body; ; ) {
    const before = received;
    const broken = yield* untilItBreaks(body, (bytes) => {
      received += bytes;
    });
    if (received >= sizeBytes) return;
    fruitless = received > before ? 0 : fruitless + 1;
    if (fruitless >= fruitlessTries) throw typedFailure(broken, 'read all of', bucket.where(key));
    body = (await bucket.get(key, { offset: start + received, lengthBytes: sizeBytes - received })).body;
  }
}

/** Gives what ended it. An error that the reader throws in is not one of the body's. */
async function* untilItBreaks(
  body: AsyncIterable<unknown>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, unknown> {
  const source = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      let next: IteratorResult<unknown>;
      try {
        next = await source.next();
      } catch (error) {
        return error;
      }
      if (next.done) return new Error('the connection ended early');
      count((next.value as Uint8Array).length);
      yield next.value as Uint8Array;
    }
  } finally {
    // A reader that leaves early leaves no connection open.
    await source.return?.();
  }
}

/** A small object, or a part of one, whole. Fewer bytes when it ends before. @throws ENOENT, StoreUnavailable */
export async function readBody(
  bucket: Bucket,
  key: string,
  range?: { offset: number; lengthBytes: number },
): Promise<Uint8Array> {
  return await patiently(async (again) => {
    const { sizeBytes, body } = await bucket.get(key, range);
    try {
      const bytes = await buffer(body);
      if (bytes.length === sizeBytes) return bytes;
      return await again(new StoreUnavailable('ShortBody', 'read all of', bucket.where(key), undefined));
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      return again(typedFailure(error, 'read all of', bucket.where(key)));
    }
  });
}
