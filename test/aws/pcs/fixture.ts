import { PCSClient } from '../../../src/aws/pcs/client.ts';
import type { Input, Operation } from '../../../src/aws/pcs/inputs.ts';
import type { AccountRules } from '../../doubles/pcs/account.ts';
import { type PcsDouble, startPcsDouble } from '../../doubles/pcs/server.ts';

export const region = 'eu-central-1';
export const credentials = { accessKeyId: 'AKIDJUDGE', secretAccessKey: 'judge+secret/key' };

export const clusterWish: Input<'CreateCluster'> = {
  clusterName: 'simulations',
  scheduler: { type: 'SLURM', version: '25.11' },
  size: 'SMALL',
  networking: { subnetIds: ['subnet-0123456789abcdef0'], securityGroupIds: ['sg-0123456789abcdef0'] },
  slurmConfiguration: { slurmRest: { mode: 'STANDARD' }, scaleDownIdleTimeInSeconds: 300 },
};
export const groupWish: Input<'CreateComputeNodeGroup'> = {
  clusterIdentifier: 'simulations',
  computeNodeGroupName: 'spot-nodes',
  subnetIds: ['subnet-0123456789abcdef0'],
  customLaunchTemplate: { id: 'lt-0123456789abcdef0', version: '$Latest' },
  iamInstanceProfileArn: 'arn:aws:iam::123456789012:instance-profile/aws-pcs/AWSPCS-nodes',
  scalingConfiguration: { minInstanceCount: 0, maxInstanceCount: 16 },
  instanceConfigs: [{ instanceType: 'c7i.xlarge' }, { instanceType: 'c6i.xlarge' }],
  purchaseOption: 'SPOT',
  spotOptions: { allocationStrategy: 'price-capacity-optimized' },
};
const cluster = { clusterIdentifier: 'simulations' };
const group = { ...cluster, computeNodeGroupIdentifier: 'spot-nodes' };
const queue = { ...cluster, queueIdentifier: 'spot' };
const arn = 'arn:aws:pcs:eu-central-1:123456789012:cluster/pcs_0123456789';
const token = 'goto3-0123456789abcdef';
const settings = [{ parameterName: 'AccountingStorageEnforce', parameterValue: 'limits, ünïcode "quoted" \\ & <é>' }];

/** One input of each operation, rich in members, with the token that the SDKs would make up. */
export const richInputs: { [O in Operation]: Input<O> } = {
  CreateCluster: { ...clusterWish, clientToken: token, tags: { team: 'risk', empty: '' } },
  GetCluster: cluster,
  ListClusters: {},
  UpdateCluster: {
    ...cluster,
    clientToken: token,
    slurmConfiguration: { slurmCustomSettings: settings, accounting: { defaultPurgeTimeInDays: -1 } },
    scheduler: { version: '26.05' },
  },
  DeleteCluster: { ...cluster, clientToken: token },
  CreateComputeNodeGroup: {
    ...groupWish,
    clientToken: token,
    slurmConfiguration: { scaleDownIdleTimeInSeconds: -1, gresCustomSettings: [{ Name: 'gpu', Type: 'h100' }] },
    nodeLifecycleActions: {
      stages: {
        nodeReady: [
          {
            name: 'mount scratch',
            scriptSource: { scriptLocation: 's3://a-bucket/mount.sh', checksum: 'a'.repeat(64) },
            arguments: ['/scratch'],
            onError: 'TERMINATE',
          },
        ],
      },
    },
    instanceHealthChecks: { healthMonitoring: { mode: 'STANDARD', repairAction: 'REPLACE' } },
  },
  GetComputeNodeGroup: group,
  ListComputeNodeGroups: { ...cluster, maxResults: 100, nextToken: 'bmV4dA' },
  UpdateComputeNodeGroup: {
    ...group,
    clientToken: token,
    amiId: '',
    scalingConfiguration: { minInstanceCount: 0, maxInstanceCount: 0 },
  },
  DeleteComputeNodeGroup: { ...group, clientToken: token },
  CreateQueue: {
    ...cluster,
    queueName: 'spot',
    clientToken: token,
    computeNodeGroupConfigurations: [{ computeNodeGroupId: 'pcs_0123456789' }],
  },
  GetQueue: queue,
  ListQueues: cluster,
  UpdateQueue: { ...queue, clientToken: token, slurmConfiguration: { slurmCustomSettings: settings } },
  DeleteQueue: { ...queue, clientToken: token },
  TagResource: { resourceArn: arn, tags: { team: 'risk' } },
  UntagResource: { resourceArn: arn, tagKeys: ['team'] },
  ListTagsForResource: { resourceArn: arn },
};

export interface PcsFixture {
  double: PcsDouble;
  client: PCSClient;
  /** Lets time go by in the double: what is under way ends. */
  pass(ms: number): void;
  stop(): Promise<void>;
}

export async function setUpPcs(rules: Partial<AccountRules> = {}): Promise<PcsFixture> {
  let nowMs = Date.parse('2026-11-24T12:00:00Z');
  const double = await startPcsDouble({ region, nowMs: () => nowMs, changeMs: 1_000, ...rules });
  const client = new PCSClient({ region, credentials, endpoint: double.url, maxAttempts: 3 });
  return {
    double,
    client,
    pass: (ms) => {
      nowMs += ms;
    },
    async stop() {
      client.destroy();
      await double.stop();
    },
  };
}
