import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../../contracts/job.ts';
import { configFiles, containerFolders, type HostFacts } from '../container-contract.ts';
import type { ChannelSource } from '../materialise.ts';
import { isThere, type JobFolder } from './job-folder.ts';

/**
 * Builds the program's folders and inputs aside and renames them into place: `ml/` is complete or not there, so a killed
 * submitter leaves nothing half done, and a second submitter cannot change inputs under a running program.
 */
export async function stageContainer(
  folder: JobFolder,
  spec: JobSpec,
  channels: ChannelSource,
  host: HostFacts,
): Promise<void> {
  const aside = containerFolders(join(folder.path, `${stagingPrefix}${randomUUID()}`));
  try {
    for (const path of [aside.config, aside.data, aside.model, aside.outputData, aside.checkpoints])
      await mkdir(path, { recursive: true });
    for (const [name, content] of Object.entries(configFiles(spec, host)))
      await writeFile(join(aside.config, name), content, { flush: true });
    for (const [channel, files] of Object.entries(spec.channels)) {
      const path = join(aside.data, channel);
      await mkdir(path);
      await channels.materialise(files, path);
    }
    if (spec.checkpoint) await channels.materialise(spec.checkpoint, aside.checkpoints);
    await rename(aside.root, folder.container.root);
  } catch (error) {
    await rm(aside.root, { recursive: true, force: true });
    // Another submitter was first; its inputs have the same digests.
    if (!(await isThere(folder.container.root))) throw error;
  }
}

/** Once a job is claimed, what killed submitters had begun to stage is of no use. */
export async function removeUnfinishedStaging(folder: JobFolder): Promise<void> {
  for (const name of await readdir(folder.path))
    if (name.startsWith(stagingPrefix)) await rm(join(folder.path, name), { recursive: true, force: true });
}

const stagingPrefix = 'staging-';
