import { hpcTypes, instanceFacts, isKnownHpc } from './instances.ts';
import type { ParallelClusterFile } from './schema.ts';

/** A queue is a partition of the cluster's Slurm, with the same name. */
export interface ClusterQueue {
  partition: string;
  purchase: 'ONDEMAND' | 'SPOT' | 'CAPACITY_BLOCK';
  resources: {
    name: string;
    instanceTypes: string[];
    architecture: 'x86_64' | 'arm64';
    minNodes: number;
    maxNodes: number;
    efa: boolean;
    cores: number | null;
    memoryGiB: number | null;
  }[];
}

export interface ClusterProblem {
  path: (string | number)[];
  message: string;
}

/**
 * Queues of a ParallelCluster file, or why they can never have a node. The head node says which architecture the image has:
 * ParallelCluster wants one image, so one architecture, for a cluster without images of its queues' own. Pure.
 */
export function clusterQueues(file: ParallelClusterFile): { queues: ClusterQueue[]; problems: ClusterProblem[] } {
  const problems: ClusterProblem[] = [];
  const image = file.HeadNode && instanceFacts(file.HeadNode.InstanceType).architecture;
  const queues = file.Scheduling.SlurmQueues.map((queue, q): ClusterQueue => {
    const at = ['Scheduling', 'SlurmQueues', q];
    return {
      partition: queue.Name,
      purchase: queue.CapacityType,
      resources: queue.ComputeResources.map((resource, r) => {
        const here = [...at, 'ComputeResources', r];
        const typeAt = (i: number) =>
          resource.InstanceType === undefined ? [...here, 'Instances', i, 'InstanceType'] : [...here, 'InstanceType'];
        const types = resource.Instances?.map(({ InstanceType }) => InstanceType) ?? [resource.InstanceType!];
        const facts = types.map(instanceFacts);
        for (const [i, type] of types.entries()) {
          const say = (message: string) => problems.push({ path: typeAt(i), message });
          const { spot, efa, architecture } = facts[i]!;
          if (!isKnownHpc(type)) say(`${type}: no such HPC instance; there are ${hpcTypes.join(', ')}`);
          if (spot === false && queue.CapacityType === 'SPOT')
            say(`${type} is sold on demand alone, and queue ${queue.Name} has CapacityType SPOT`);
          if (efa === false && resource.Efa?.Enabled) say(`${type} has no EFA, and Efa.Enabled is true`);
          if (architecture !== facts[0]!.architecture) say(`${type} is ${architecture}, and ${types[0]} is not`);
          if (image !== undefined && architecture !== image && queue.Image?.CustomAmi === undefined)
            say(
              `${type} is ${architecture}, and the cluster's image is ${image} (HeadNode ${file.HeadNode!.InstanceType}): the queue needs an Image.CustomAmi of its own`,
            );
        }
        if (resource.Efa?.GdrSupport && !resource.Efa.Enabled)
          problems.push({ path: [...here, 'Efa', 'GdrSupport'], message: 'expected Efa.Enabled: true beside it' });
        return {
          name: resource.Name,
          instanceTypes: types,
          architecture: facts[0]!.architecture,
          minNodes: resource.MinCount,
          maxNodes: resource.MaxCount,
          efa: resource.Efa?.Enabled ?? false,
          cores: smallest(facts.map(({ cores }) => cores)),
          memoryGiB: smallest(facts.map(({ memoryGiB }) => memoryGiB)),
        };
      }),
    };
  });
  for (const [i, { partition }] of queues.entries())
    if (queues.findIndex((other) => other.partition === partition) < i)
      problems.push({
        path: ['Scheduling', 'SlurmQueues', i, 'Name'],
        message: `there is a queue ${partition} already`,
      });
  return { queues, problems };
}

const smallest = (numbers: readonly (number | undefined)[]): number | null =>
  numbers.some((one) => one === undefined) ? null : Math.min(...(numbers as number[]));
