import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../contracts/digest.ts';
import type { Model } from '../../contracts/manifests.ts';
import { arithmeticHere, recordedArithmetic, whyVerdictDoesNotCount } from '../../onnx/quantize/instruction-set.ts';
import { materialise } from '../../store/folders.ts';
import { getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { ServingError, servingErrors } from '../errors.ts';

/** Folders of models that are not served any more but may come back by a rollback. */
const sparesKept = 8;

/** Model folders on this machine, by digest; every use checks the bytes again. One replica per cache folder. */
export class ModelCache {
  readonly folder: string;
  private readonly store: Store;
  private readonly checked = new Set<Digest>();
  private readonly underway = new Map<Digest, Promise<string>>();

  /** @param folder absolute; exists; for this replica alone. */
  constructor(folder: string, store: Store) {
    this.folder = folder;
    this.store = store;
  }

  /**
   * The folder with the model's files. A model that was checked before is served from its folder also while the store does
   * not answer. @throws whatever the store throws
   */
  async folderOf(model: Digest): Promise<string> {
    let work = this.underway.get(model);
    if (!work) {
      work = this.bring(model).finally(() => this.underway.delete(model));
      this.underway.set(model, work);
    }
    return work;
  }

  /** Deletes the folders that were not used for longest. */
  async trim(keep: ReadonlySet<Digest>): Promise<void> {
    const kept = new Set([...keep].map(nameOf));
    const names = (await readdir(this.folder)).filter((name) => /^[0-9a-f]{64}$/.test(name) && !kept.has(name));
    const spares = await Promise.all(
      names.map(async (name) => ({ name, usedAt: (await stat(join(this.folder, name))).mtimeMs })),
    );
    for (const { name } of spares.sort((a, b) => b.usedAt - a.usedAt).slice(sparesKept))
      await rm(join(this.folder, name), { recursive: true, force: true });
  }

  private async bring(model: Digest): Promise<string> {
    const folder = join(this.folder, nameOf(model));
    try {
      const { files, quantization } = await getManifest(this.store, model, 'Model');
      if (quantization) await refuseOtherSums(model, quantization);
      await materialise(this.store, files, folder);
      await utimes(folder, new Date(), new Date());
      this.checked.add(model);
    } catch (error) {
      if (!this.checked.has(model)) throw error;
    }
    return folder;
  }
}

/** An int8 model answers as its verdict says only where its sums are the same integers. @throws ServingError */
async function refuseOtherSums(model: Digest, quantization: NonNullable<Model['quantization']>): Promise<void> {
  const measured = recordedArithmetic(quantization);
  const why = whyVerdictDoesNotCount(measured, { ...(await arithmeticHere()), weightBits: measured.weightBits });
  if (why !== undefined) throw new ServingError(servingErrors.modelNotServable, `int8 model ${model}: ${why}`);
}

const nameOf = (model: Digest): string => model.slice('sha256:'.length);
