import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobOutputs } from '../../contracts/job.ts';
import { isThere } from '../local/job-folder.ts';
import type { JobBucket } from './job-bucket.ts';
import type { JobKeys } from './names.ts';
import { unpackTarGz } from './untar.ts';

/** What jobs left, on this machine: until `collect` has put it into the store. */
export class OutputFolders {
  readonly #bucket: JobBucket;
  readonly #folder: string;
  readonly #fetching = new Map<string, Promise<JobOutputs>>();

  constructor(bucket: JobBucket, folder: string) {
    this.#bucket = bucket;
    this.#folder = folder;
  }

  /** @param over nothing will be added: what is fetched now is kept, what was fetched before is good */
  async of(name: string, keys: JobKeys, over: boolean): Promise<JobOutputs> {
    const fetching =
      this.#fetching.get(name) ?? this.#fetch(name, keys, over).finally(() => this.#fetching.delete(name));
    this.#fetching.set(name, fetching);
    return await fetching;
  }

  async #fetch(name: string, keys: JobKeys, over: boolean): Promise<JobOutputs> {
    const final = join(this.#folder, 'ended', name);
    if (over && (await isThere(final))) return foldersOf(final);
    const aside = join(this.#folder, 'fetched', `${name}-${randomUUID()}`);
    const { modelDirectory, dataDirectory, checkpointDirectory } = foldersOf(aside);
    for (const folder of [modelDirectory, dataDirectory, checkpointDirectory]) await mkdir(folder, { recursive: true });
    await this.#bucket.download(keys.checkpoints, checkpointDirectory);
    if (!over) return foldersOf(aside);
    for (const [key, folder] of [
      [keys.modelArchive, modelDirectory],
      [keys.dataArchive, dataDirectory],
    ] as const) {
      const archive = await this.#bucket.open(key);
      if (archive) await unpackTarGz(archive, folder);
    }
    await mkdir(join(this.#folder, 'ended'), { recursive: true });
    await this.#removeOld();
    await rename(aside, final).catch(async (error: unknown) => {
      // Another process of this machine was first, with the same bytes.
      if (!(await isThere(final))) throw error;
      await rm(aside, { recursive: true });
    });
    return foldersOf(final);
  }

  /** Copies of what is in the bucket, which collects have long put into the store. */
  async #removeOld(): Promise<void> {
    for (const kind of ['ended', 'fetched'])
      for (const name of await readdir(join(this.#folder, kind))) {
        const path = join(this.#folder, kind, name);
        const facts = await stat(path).catch(() => undefined);
        if (facts && Date.now() - facts.mtimeMs > keptMs) await rm(path, { recursive: true, force: true });
      }
  }
}

const keptMs = 7 * 24 * 3_600_000;

const foldersOf = (root: string): JobOutputs => ({
  modelDirectory: join(root, 'model'),
  dataDirectory: join(root, 'data'),
  checkpointDirectory: join(root, 'checkpoints'),
});
