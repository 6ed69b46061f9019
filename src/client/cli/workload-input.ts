import type { Environment } from '../../stack/environment.ts';
import { readTargets } from '../../stack/targets.ts';
import { readWorkloadFile, type WorkloadFileContent } from '../workload-file.ts';

/** A workload file, checked against what this environment's targets say about their clusters. @throws InvalidFile */
export async function readWorkload(
  { targetsFile }: Pick<Environment, 'targetsFile'>,
  file: string,
  on?: string,
): Promise<WorkloadFileContent> {
  const { slurm } = await readTargets(targetsFile);
  return await readWorkloadFile(file, on, slurm);
}
