import type { WorkloadJob, WorkloadResources } from '../../contracts/workload-spec.ts';
import type { SbatchOptions } from './options.ts';

/** The job with what its script asks for where the workload file says nothing. Pure. */
export function withDirectives(job: WorkloadJob, options: SbatchOptions): WorkloadJob {
  const { partitions, account, qos, reservation, array } = options;
  const defaults = { partitions, account, qos, reservation, array };
  return {
    ...(without(defaults) as Partial<WorkloadJob>),
    ...job,
    resources: { ...without(resourcesOf(options)), ...job.resources },
  };
}

function resourcesOf(options: SbatchOptions): { [K in keyof WorkloadResources]: WorkloadResources[K] | undefined } {
  const { nodes, tasksPerNode, cpusPerTask, memoryPerCpu, gpus } = options;
  const tasks = options.tasks ?? (tasksPerNode === undefined ? undefined : tasksPerNode * (nodes ?? 1));
  const cpusPerNode = Math.ceil((tasks ?? 1) / (nodes ?? 1)) * (cpusPerTask ?? 1);
  return {
    nodes,
    tasks,
    cpusPerTask,
    memoryPerNode: options.memoryPerNode ?? (memoryPerCpu === undefined ? undefined : memoryPerCpu * cpusPerNode),
    gpusPerNode: options.gpusPerNode ?? (gpus === undefined ? undefined : Math.ceil(gpus / (nodes ?? 1))),
    time: options.timeMs,
    constraint: options.constraint,
    exclusive: options.exclusive,
  };
}

const without = (object: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
