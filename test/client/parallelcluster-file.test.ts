import assert from 'node:assert/strict';
import { InvalidFile } from '../../src/client/errors.ts';
import { parallelClusterQueues } from '../../src/client/parallelcluster-file.ts';

const good = `Region: eu-north-1
Image: { Os: alinux2023 }
HeadNode:
  InstanceType: m7i.large
  Networking: { SubnetId: subnet-0123456789abcdef0 }
Scheduling:
  Scheduler: slurm
  SlurmSettings: { ScaledownIdletime: 10 }
  SlurmQueues:
    - Name: hpc
      CapacityType: ONDEMAND
      ComputeResources:
        - Name: big
          InstanceType: hpc7a.96xlarge
          MaxCount: 4
          Efa: { Enabled: true, GdrSupport: false }
    - Name: spot
      CapacityType: SPOT
      ComputeResources:
        - Name: mixed
          Instances: [{ InstanceType: c7i.48xlarge }, { InstanceType: c6i.32xlarge }]
`;
const read = (text: string) => parallelClusterQueues('cluster.yaml', Buffer.from(text));

describe('ParallelCluster files', () => {
  it('are read as partitions with what their nodes are', () => {
    const [hpc, spot] = read(good);
    assert.deepEqual(hpc, {
      partition: 'hpc',
      purchase: 'ONDEMAND',
      resources: [
        {
          ...{ name: 'big', instanceTypes: ['hpc7a.96xlarge'], architecture: 'x86_64', minNodes: 0, maxNodes: 4 },
          ...{ efa: true, cores: 192, memoryGiB: 768 },
        },
      ],
    });
    assert.deepEqual([spot!.purchase, spot!.resources[0]!.maxNodes, spot!.resources[0]!.efa], ['SPOT', 10, false]);
  });

  const refused: [name: string, from: string, to: string, problem: RegExp][] = [
    [
      'hpc instances on spot',
      'CapacityType: ONDEMAND',
      'CapacityType: SPOT',
      /hpc7a\.96xlarge is sold on demand alone.* \(line 14, column 11\)/,
    ],
    [
      'an x86 image on hpc7g',
      'hpc7a.96xlarge',
      'hpc7g.16xlarge',
      /hpc7g\.16xlarge is arm64, and the cluster's image is x86_64 .* \(line 14, column 11\)/,
    ],
    ['EFA on a type without it', 'hpc7a.96xlarge', 'c6i.large', /c6i\.large has no EFA.* \(line 14/],
    ['an HPC instance that does not exist', 'hpc7a.96xlarge', 'hpc7a.2xlarge', /hpc7a\.2xlarge: no such HPC instance/],
    [
      'GPUDirect without EFA',
      'Enabled: true, GdrSupport: false',
      'Enabled: false, GdrSupport: true',
      /GdrSupport: expected Efa\.Enabled.* \(line 16/,
    ],
    [
      'two architectures in one resource',
      'c6i.32xlarge',
      'c7g.16xlarge',
      /c7g\.16xlarge is arm64, and c7i\.48xlarge is not \(line 21/,
    ],
    [
      'AWS Batch',
      'Scheduler: slurm',
      'Scheduler: awsbatch',
      /Scheduling\.Scheduler: expected "slurm".* \(line 7, column 3\)/,
    ],
    [
      'more nodes at least than at most',
      'MaxCount: 4',
      'MaxCount: 4\n          MinCount: 5',
      /MinCount: expected no more than MaxCount \(line 16/,
    ],
    ['the same queue twice', 'Name: spot', 'Name: hpc', /Name: there is a queue hpc already \(line 17/],
    [
      'neither type nor instances',
      'InstanceType: hpc7a.96xlarge',
      'SpotPrice: 1',
      /expected either InstanceType or Instances \(line 13/,
    ],
  ];
  for (const [name, from, to, problem] of refused)
    it(`refuse ${name}`, () => {
      const text = good.replace(from, to);
      assert.notEqual(text, good);
      assert.throws(
        () => read(text),
        (error: unknown) => error instanceof InvalidFile && error.problems.some((line) => problem.test(line)),
        `expected ${problem}`,
      );
    });
});
