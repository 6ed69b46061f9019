import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../../contracts/job.ts';
import { configFiles, containerFolders, type HostFacts } from '../container-contract.ts';
import type { ChannelSource } from '../materialise.ts';
import type { JobFolder } from './job-folder.ts';

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
  const aside = containerFolders(join(folder.path, `staging-${randomUUID()}`));
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
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
