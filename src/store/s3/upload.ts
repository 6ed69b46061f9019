import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import * as zlib from 'node:zlib';
import type { Digest } from '../../contracts/digest.ts';
import { InvalidInput } from '../errors.ts';
import type { Bucket, UploadedPart } from './bucket.ts';
import type { ByteBudget } from './byte-budget.ts';
import { isConflict, isMissing, isPreconditionFailed, typedFailure } from './failures.ts';
import { patiently } from './patience.ts';

const mebibyte = 2 ** 20;
/** S3's limits: parts of 5 MiB to 5 GiB, at most 10,000 of them ("Amazon S3 multipart upload limits"). */
const mostParts = 10_000;
export const smallestPartBytes = 8 * mebibyte;
const partsAtOnce = 4;

/** Bytes of parts for an object of this size: small enough for memory, few enough for S3. */
export const partBytesOf = (sizeBytes: number): number =>
  Math.max(smallestPartBytes, Math.ceil(sizeBytes / mostParts / mebibyte) * mebibyte);

export interface UploadSource {
  handle: FileHandle;
  sizeBytes: number;
  digest: Digest;
}

/**
 * Uploads a file in parts under its final key, in constant memory. The digest named the key before the first byte was
 * sent, so it is taken again on the way: a file that changed in between is never completed.
 *
 * Nothing is left behind by a failure: the upload is aborted. What a killed process leaves, garbage collection finds.
 *
 * @param replace in place of an object that is there and wrong
 * @throws InvalidInput when the file changed; StoreUnavailable
 */
export async function uploadFile(
  bucket: Bucket,
  key: string,
  source: UploadSource,
  { budget, replace = false }: { budget: ByteBudget; replace?: boolean },
): Promise<void> {
  // 409 ends an upload: its parts cannot be completed any more, only sent again (S3 API, CompleteMultipartUpload).
  await patiently<void>(async (again) => {
    const uploadId = await bucket.beginUpload(key);
    let outcome: 'done' | 'again';
    try {
      const parts = await sendParts(bucket, key, uploadId, source, budget);
      outcome = await complete(bucket, key, uploadId, parts, { sizeBytes: source.sizeBytes, exclusive: !replace });
    } catch (error) {
      // The first failure is the one to report, whatever becomes of the abort.
      await bucket.abortUpload(key, uploadId).catch(() => {});
      throw error;
    }
    if (outcome === 'done') return;
    await bucket.abortUpload(key, uploadId).catch(() => {});
    return again(typedFailure(new Error('the upload was lost or overtaken'), 'write', bucket.where(key)));
  });
}

async function sendParts(
  bucket: Bucket,
  key: string,
  uploadId: string,
  { handle, sizeBytes, digest }: UploadSource,
  budget: ByteBudget,
): Promise<UploadedPart[]> {
  const partBytes = partBytesOf(sizeBytes);
  const hash = createHash('sha256');
  const sending = new Set<Promise<unknown>>();
  const parts: Promise<UploadedPart>[] = [];
  let failed: { error: unknown } | undefined;
  try {
    for (let offset = 0; offset < sizeBytes && !failed; offset += partBytes) {
      while (sending.size >= partsAtOnce) await Promise.race(sending);
      const length = Math.min(partBytes, sizeBytes - offset);
      const release = await budget.take(length);
      const bytes = await readExactly(handle, offset, length).catch((error: unknown) => {
        release();
        throw error;
      });
      hash.update(bytes);
      const part = sendPart(bucket, key, uploadId, parts.length + 1, bytes).finally(release);
      parts.push(part);
      const settled: Promise<unknown> = part
        .catch((error: unknown) => {
          failed ??= { error };
        })
        .finally(() => sending.delete(settled));
      sending.add(settled);
    }
  } finally {
    // No part may arrive after the abort: it would bring the upload's storage back.
    await Promise.all(sending);
  }
  if (failed) throw failed.error;
  if (`sha256:${hash.digest('hex')}` !== digest) throw changed();
  return await Promise.all(parts);
}

const changed = (): InvalidInput => new InvalidInput('blob body: the file changed while it was stored');

async function sendPart(
  bucket: Bucket,
  key: string,
  uploadId: string,
  number: number,
  bytes: Uint8Array,
): Promise<UploadedPart> {
  try {
    return await bucket.uploadPart(key, uploadId, number, bytes, crc32Of(bytes));
  } catch (error) {
    throw typedFailure(error, `upload part ${number} of`, bucket.where(key));
  }
}

/** As S3 writes it; none on Node before 20.15, where the SDK's default stands in. */
function crc32Of(bytes: Uint8Array): string | undefined {
  if (!('crc32' in zlib)) return undefined;
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(zlib.crc32(bytes));
  return crc.toString('base64');
}

async function readExactly(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw changed();
    filled += bytesRead;
  }
  return bytes;
}

/** Done also when it was done before: by us, with the reply lost, or by somebody else with the same digest. */
async function complete(
  bucket: Bucket,
  key: string,
  uploadId: string,
  parts: readonly UploadedPart[],
  { sizeBytes, exclusive }: { sizeBytes: number; exclusive: boolean },
): Promise<'done' | 'again'> {
  try {
    await bucket.completeUpload(key, uploadId, parts, { exclusive });
    return 'done';
  } catch (error) {
    if (isConflict(error)) return 'again';
    if (!isPreconditionFailed(error) && !isMissing(error)) throw typedFailure(error, 'complete', bucket.where(key));
    // 404, NoSuchUpload: completed by a request whose reply was lost, or aborted by a collection.
    const facts = await bucket.facts(key).catch(() => undefined);
    if (facts?.sizeBytes !== sizeBytes) return 'again';
    // Ours is superfluous, if it is still there.
    await bucket.abortUpload(key, uploadId);
    return 'done';
  }
}
