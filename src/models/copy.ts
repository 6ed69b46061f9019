import type { Digest } from '../contracts/digest.ts';
import { refNames } from '../contracts/names.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../store/errors.ts';
import { mentions } from '../store/mentions.ts';
import { signatures } from '../store/signing/registry.ts';
import type { Store } from '../store/types.ts';

export interface Copied {
  blobs: number;
  bytes: number;
  /** Mentioned, and not in the source: a program's own file, or what was pruned there. */
  absent: Digest[];
}

type Blobs = Pick<Store, 'blobs'>;

/**
 * Copies a document and all that it reaches. Parts come before what mentions them, so that at any moment, also after a
 * kill, what is in the target is whole; what is there already is not copied again. Each blob is checked on its way.
 * @throws NotFound for the document itself, CorruptBlob
 */
export async function copyReachable(source: Blobs, target: Blobs, start: Digest): Promise<Copied> {
  const copied: Copied = { blobs: 0, bytes: 0, absent: [] };
  const seen = new Set<Digest>();
  // A lineage of years is deep: a list of its own, not the call stack.
  const pending: { digest: Digest; partsAreDone: boolean }[] = [{ digest: start, partsAreDone: false }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { digest, partsAreDone } = next;
    if (partsAreDone) {
      await copyBlob(source, target, digest);
      copied.blobs += 1;
      copied.bytes += await target.blobs.sizeBytes(digest);
      continue;
    }
    if (seen.has(digest)) continue;
    seen.add(digest);
    if (await target.blobs.has(digest)) continue;
    if (!(await source.blobs.has(digest))) {
      if (digest === start) throw new NotFound(digest);
      copied.absent.push(digest);
      continue;
    }
    pending.push({ digest, partsAreDone: true });
    for (const part of await mentions(source, digest)) pending.push({ digest: part, partsAreDone: false });
  }
  return copied;
}

async function copyBlob(source: Blobs, target: Blobs, digest: Digest): Promise<void> {
  const found = await target.blobs.put(await source.blobs.get(digest));
  if (found !== digest) throw new CorruptBlob(digest, found);
}

/**
 * Once a ref of the target reaches the document: a collection that ran beside the copy may have taken a part that was old
 * and that nothing reached yet.
 */
export async function repairReachable(source: Blobs, target: Blobs, start: Digest): Promise<void> {
  const seen = new Set<Digest>([start]);
  const pending: Digest[] = [start];
  for (let digest = pending.pop(); digest !== undefined; digest = pending.pop()) {
    if (!(await target.blobs.has(digest))) {
      if (!(await source.blobs.has(digest))) continue;
      await copyBlob(source, target, digest);
    }
    for (const part of await mentions(target, digest))
      if (!seen.has(part)) {
        seen.add(part);
        pending.push(part);
      }
  }
}

/** Signatures of a model, oldest first, each once. */
export async function copySignatures(source: Store, target: Store, model: Digest): Promise<number> {
  const bundles: Uint8Array[] = [];
  for await (const bundle of signatures(source, model)) bundles.unshift(bundle);
  for (const bundle of bundles) {
    const digest = await target.blobs.put(bundle);
    await target.refs.append(refNames.signature(model.slice('sha256:'.length, 'sha256:'.length + 40)), digest, {
      operation: `copy ${digest}`,
      by: 'promotion',
      reason: `signature of ${model}`,
    });
  }
  return bundles.length;
}

/** @throws InvalidInput when a file of the model itself is missing: a version that was pruned cannot go anywhere. */
export async function requireFiles(
  { blobs }: Blobs,
  what: string,
  files: readonly { digest: Digest; path: string }[],
): Promise<void> {
  for (const { digest, path } of files)
    if (!(await blobs.has(digest))) throw new InvalidInput(`${what}: its ${path} is not in the store; was it pruned?`);
}
