import type { JobResources } from '../../contracts/job.ts';
import type { SageMakerInstance } from '../../contracts/sagemaker-target.ts';

/**
 * Instances that are large enough, in the target's order; beginning behind `after`, on which the last attempt found no
 * capacity. Pure.
 */
export function fittingInstances(
  instances: readonly SageMakerInstance[],
  resources: JobResources,
  after?: string,
): SageMakerInstance[] {
  const fitting = instances.filter(
    ({ cpus, memory, gpus }) => cpus >= resources.cpus && memory >= resources.memoryBytes && gpus >= resources.gpus,
  );
  const next = fitting.findIndex(({ type }) => type === after) + 1;
  return [...fitting.slice(next), ...fitting.slice(0, next)];
}
