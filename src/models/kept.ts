import type { Digest } from '../contracts/digest.ts';
import type { Model } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { NotFound } from '../store/errors.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** An entry of a model's log of approved versions. */
export interface ApprovedVersion {
  version: number;
  digest: Digest;
  /** ISO. */
  approvedAt: string;
  /** Its manifest; null when that was collected. */
  manifest: Model | null;
  /** Every file is in the store. */
  isKept: boolean;
}

/** All approved versions, oldest first. */
export async function approvedVersions(store: Store, model: string): Promise<ApprovedVersion[]> {
  const versions: ApprovedVersion[] = [];
  for await (const { entry, digest, time } of store.refs.history(refNames.versions(model))) {
    const manifest = await getManifest(store, digest, 'Model').catch((error: unknown) => {
      if (error instanceof NotFound) return null;
      throw error;
    });
    const isKept = manifest !== null && (await hasFiles(store, manifest));
    versions.push({ version: entry, digest, approvedAt: time, manifest, isKept });
  }
  return versions.reverse();
}

/** Whether a model could be loaded: its weights may have been pruned, its manifest never is. */
export async function hasFiles({ blobs }: Pick<Store, 'blobs'>, { files }: Pick<Model, 'files'>): Promise<boolean> {
  for (const { digest } of files) if (!(await blobs.has(digest))) return false;
  return true;
}
