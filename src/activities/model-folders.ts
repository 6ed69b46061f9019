import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../contracts/digest.ts';
import { materialise } from '../store/folders.ts';
import { getManifest, type ManifestOf } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** A cycle looks at five models at most; workers of one machine share the folder. */
const keptModels = 24;

/** A model's files as a folder on this machine, checked on every use and fetched once; the least used ones go. */
export class ModelFolders {
  private readonly store: Store;
  private readonly root: string;

  constructor(store: Store, root: string) {
    this.store = store;
    this.root = root;
  }

  async open(digest: Digest): Promise<{ folder: string; model: ManifestOf<'Model'> }> {
    const model = await getManifest(this.store, digest, 'Model');
    const name = digest.slice('sha256:'.length);
    const folder = join(this.root, name);
    await materialise(this.store, model.files, folder);
    const now = new Date();
    await utimes(folder, now, now);
    await this.trim();
    return { folder, model };
  }

  private async trim(): Promise<void> {
    const names = await readdir(this.root);
    if (names.length <= keptModels) return;
    const used = await Promise.all(
      names.map(async (name) => ({
        name,
        atMs: (await stat(join(this.root, name)).catch(() => undefined))?.mtimeMs ?? 0,
      })),
    );
    used.sort((a, b) => b.atMs - a.atMs);
    for (const { name } of used.slice(keptModels)) await rm(join(this.root, name), { recursive: true, force: true });
  }
}
