import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../contracts/digest.ts';
import { materialise } from '../store/folders.ts';
import { getManifest, type ManifestOf } from '../store/manifests.ts';
import type { TrustedKey } from '../store/signing/keys.ts';
import type { VerifiedModel } from '../store/signing/model.ts';
import { manifestFile, signatures, verifyStored } from '../store/signing/registry.ts';
import { signatureFile } from '../store/signing/statement.ts';
import type { Store } from '../store/types.ts';
import { InvalidArgument } from './errors.ts';

/**
 * That a trusted key vouches for a model, and that the store still has the bytes it vouches for, all of them read.
 * @throws SignatureRefused, NotFound, CorruptBlob
 */
export async function verifyStoredModel(
  store: Store,
  digest: Digest,
  trusted: readonly TrustedKey[],
): Promise<VerifiedModel & { model: ManifestOf<'Model'> }> {
  const model = await getManifest(store, digest, 'Model');
  const verified = await verifyStored(store, digest, model, trusted);
  for (const file of model.files) for await (const _chunk of await store.blobs.get(file.digest));
  return { ...verified, model };
}

/**
 * Writes a model into an empty folder, with its manifest and its newest signature: what any tool for OpenSSF Model Signing
 * verifies. Gives whether there is a signature. @throws InvalidArgument for a folder that holds something
 */
export async function exportModel(store: Store, digest: Digest, folder: string): Promise<{ signed: boolean }> {
  const model = await getManifest(store, digest, 'Model');
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) throw new InvalidArgument(`folder ${folder}: expected an empty one`);
  await materialise(store, model.files, folder);
  await writeFile(join(folder, manifestFile), await store.blobs.read(digest));
  for await (const bundle of signatures(store, digest)) {
    await writeFile(join(folder, signatureFile), bundle);
    return { signed: true };
  }
  return { signed: false };
}
