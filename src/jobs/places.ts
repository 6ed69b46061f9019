import type { JobSpec } from '../contracts/job.ts';
import { filledIn } from '../contracts/workload-places.ts';
import type { ContainerFolders } from './container-contract.ts';

/**
 * The spec with its places filled in, for the one start of which folders and task are known: `${output}`, `${checkpoints}`,
 * `${channel.<name>}`, `${task}`. A spec without `fillsIn` reaches its program as it stands. Pure.
 */
export function withPlacesFilled(spec: JobSpec, folders: ContainerFolders, task: number | undefined): JobSpec {
  if (!spec.fillsIn) return spec;
  const fill = (place: string): string => {
    if (place === 'output') return folders.outputData;
    if (place === 'checkpoints') return folders.checkpoints;
    if (place === 'task') return String(task ?? 0);
    const [, channel] = /^channel\.([a-z][a-z0-9_]{0,62})$/.exec(place) ?? [];
    if (channel === undefined) throw new Error(`no place of this name: ${JSON.stringify(place)}`);
    return `${folders.data}/${channel}`;
  };
  return {
    ...spec,
    program: spec.program.map((part) => filledIn(part, fill)),
    environment: Object.fromEntries(
      Object.entries(spec.environment).map(([name, value]) => [
        name,
        typeof value === 'string' ? filledIn(value, fill) : value,
      ]),
    ),
  };
}

/** How one process a task is started; the program itself where nothing starts it. Pure. */
export function withLauncher(argv: readonly string[], { batch, resources }: JobSpec): string[] {
  switch (batch?.launcher) {
    case 'srun':
      return [
        'srun',
        `--ntasks=${batch.tasks}`,
        `--cpus-per-task=${resources.cpus}`,
        '--kill-on-bad-exit=1',
        '--',
        ...argv,
      ];
    case 'mpirun':
      return ['mpirun', '-n', String(batch.tasks), ...argv];
    case undefined:
      return [...argv];
  }
}
