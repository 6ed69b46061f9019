import { join } from 'node:path';
import type { Digest } from '../contracts/digest.ts';
import { materialise } from '../store/folders.ts';
import { getManifest, type ManifestOf } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** A model's files as a folder on this machine, checked on every use and fetched once. */
export class ModelFolders {
  private readonly store: Store;
  private readonly root: string;

  constructor(store: Store, root: string) {
    this.store = store;
    this.root = root;
  }

  async open(digest: Digest): Promise<{ folder: string; model: ManifestOf<'Model'> }> {
    const model = await getManifest(this.store, digest, 'Model');
    const folder = join(this.root, digest.slice('sha256:'.length));
    await materialise(this.store, model.files, folder);
    return { folder, model };
  }
}
