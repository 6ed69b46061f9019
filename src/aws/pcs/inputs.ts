import { z } from 'zod';
import { failureTypes } from '../../contracts/failures.ts';
import * as names from './names.ts';
import * as settings from './settings.ts';

const ofCluster = { clusterIdentifier: names.ClusterIdentifier };
const ofNodeGroup = { ...ofCluster, computeNodeGroupIdentifier: names.PartIdentifier };
const ofQueue = { ...ofCluster, queueIdentifier: names.PartIdentifier };
const page = { nextToken: names.NextToken.optional(), maxResults: names.MaxResults.optional() };
const once = { clientToken: names.ClientToken.optional() };
const tagged = { tags: names.Tags.optional() };

const nodeGroup = {
  purchaseOption: settings.PurchaseOption.optional(),
  launchTemplateMode: settings.LaunchTemplateMode.optional(),
  customLaunchTemplate: settings.LaunchTemplate.optional(),
  spotOptions: settings.SpotOptions.optional(),
  slurmConfiguration: settings.NodeGroupSlurm.optional(),
  nodeLifecycleActions: settings.LifecycleActions.optional(),
  instanceHealthChecks: settings.HealthChecks.optional(),
};

/** What each operation takes: https://docs.aws.amazon.com/pcs/latest/APIReference/API_Operations.html */
export const inputs = {
  CreateCluster: z.strictObject({
    clusterName: names.ClusterName,
    scheduler: z.strictObject({ type: z.enum(['SLURM']), version: z.string() }),
    size: z.enum(['SMALL', 'MEDIUM', 'LARGE']),
    networking: settings.Networking,
    slurmConfiguration: settings.ClusterSlurm.optional(),
    ...once,
    ...tagged,
  }),
  GetCluster: z.strictObject(ofCluster),
  ListClusters: z.strictObject(page),
  UpdateCluster: z.strictObject({
    ...ofCluster,
    ...once,
    slurmConfiguration: settings.UpdateClusterSlurm.optional(),
    scheduler: z.strictObject({ version: z.string() }).optional(),
  }),
  DeleteCluster: z.strictObject({ ...ofCluster, ...once }),

  CreateComputeNodeGroup: z
    .strictObject({
      ...ofCluster,
      computeNodeGroupName: names.PartName,
      amiId: names.AmiId.optional(),
      securityGroupIds: z.array(names.SecurityGroupId).optional(),
      sshKeyName: names.KeyPairName.optional(),
      subnetIds: z.array(z.string()),
      iamInstanceProfileArn: names.InstanceProfileArn,
      scalingConfiguration: settings.Scaling,
      instanceConfigs: settings.Instances,
      ...nodeGroup,
      ...once,
      ...tagged,
    })
    .superRefine(({ launchTemplateMode = 'CUSTOM', customLaunchTemplate, amiId, securityGroupIds }, context) => {
      const wrong = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
      if (launchTemplateMode === 'CUSTOM') {
        if (!customLaunchTemplate) wrong('customLaunchTemplate', 'is required unless launchTemplateMode is MANAGED');
        return;
      }
      if (customLaunchTemplate) wrong('customLaunchTemplate', 'is not for launchTemplateMode MANAGED');
      if (!amiId) wrong('amiId', 'is required with launchTemplateMode MANAGED');
      if (!securityGroupIds?.length) wrong('securityGroupIds', 'is required with launchTemplateMode MANAGED');
    }),
  GetComputeNodeGroup: z.strictObject(ofNodeGroup),
  ListComputeNodeGroups: z.strictObject({ ...ofCluster, ...page }),
  UpdateComputeNodeGroup: z.strictObject({
    ...ofNodeGroup,
    amiId: names.AmiIdOrEmpty.optional(),
    securityGroupIds: z.array(names.SecurityGroupId).optional(),
    sshKeyName: names.KeyPairNameOrEmpty.optional(),
    subnetIds: z.array(z.string()).optional(),
    scalingConfiguration: settings.Scaling.optional(),
    iamInstanceProfileArn: names.InstanceProfileArn.optional(),
    ...nodeGroup,
    ...once,
  }),
  DeleteComputeNodeGroup: z.strictObject({ ...ofNodeGroup, ...once }),

  CreateQueue: z.strictObject({
    ...ofCluster,
    queueName: names.PartName,
    computeNodeGroupConfigurations: settings.QueueNodeGroups.optional(),
    slurmConfiguration: settings.QueueSlurm.optional(),
    ...once,
    ...tagged,
  }),
  GetQueue: z.strictObject(ofQueue),
  ListQueues: z.strictObject({ ...ofCluster, ...page }),
  UpdateQueue: z.strictObject({
    ...ofQueue,
    computeNodeGroupConfigurations: settings.QueueNodeGroups.optional(),
    slurmConfiguration: settings.QueueSlurm.optional(),
    ...once,
  }),
  DeleteQueue: z.strictObject({ ...ofQueue, ...once }),

  TagResource: z.strictObject({ resourceArn: names.Arn, tags: names.Tags }),
  UntagResource: z.strictObject({ resourceArn: names.Arn, tagKeys: names.TagKeys }),
  ListTagsForResource: z.strictObject({ resourceArn: names.Arn }),
};

export type Operation = keyof typeof inputs;
export type Input<O extends Operation> = z.input<(typeof inputs)[O]>;

/** Input that AWS would refuse, or misread: nothing was sent. The message names each member and what was expected. */
export class InvalidPcsInput extends Error {
  override readonly name = 'InvalidPcsInput';
  readonly type = failureTypes.invalidInput;
}

/** @throws InvalidPcsInput */
export function checkInput<O extends Operation>(operation: O, input: unknown): Input<O> {
  const checked = inputs[operation].safeParse(input);
  if (!checked.success) throw new InvalidPcsInput(`${operation}: ${z.prettifyError(checked.error)}`);
  return checked.data as Input<O>;
}
