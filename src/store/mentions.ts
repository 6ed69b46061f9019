import type { Digest } from '../contracts/digest.ts';
import type { Store } from './types.ts';

/** Above this size, a blob that does not begin like JSON is not searched: a model, not a document. */
const alwaysSearchedBytes = 2 ** 20;
const digestPattern = /sha256:[0-9a-f]{64}/g;
const digestLength = 'sha256:'.length + 64;

/**
 * Every digest that occurs in a blob's text, whatever the document: manifests, desired states, job specs, JSON lines.
 * Too many is harmless for garbage collection, too few is not. Throws `NotFound` and `CorruptBlob` (a flipped bit may
 * hide a digest).
 */
export async function mentions(store: Pick<Store, 'blobs'>, digest: Digest): Promise<Set<Digest>> {
  const searchAll = (await store.blobs.sizeBytes(digest)) <= alwaysSearchedBytes;
  const found = new Set<Digest>();
  let text = '';
  for await (const chunk of await store.blobs.get(digest)) {
    const isFirst = text === '';
    // Digests are ASCII; latin1 keeps every byte one character, also across a split UTF-8 sequence.
    text = text.slice(1 - digestLength) + Buffer.from(chunk as Uint8Array).toString('latin1');
    if (isFirst && !searchAll && !/^(?:\xef\xbb\xbf)?\s*["[{]/.test(text)) break;
    for (const [match] of text.matchAll(digestPattern)) found.add(match as Digest);
  }
  return found;
}
