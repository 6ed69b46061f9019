import { z } from 'zod';
import type { Operation } from './inputs.ts';

/**
 * What PCS answers. Members that we do not know are kept, and so is a status that AWS adds later: only what is required in
 * the API Reference, and read by us, is checked.
 */
const statuses = [
  'CREATING',
  'ACTIVE',
  'UPDATING',
  'DELETING',
  'CREATE_FAILED',
  'DELETE_FAILED',
  'UPDATE_FAILED',
  'SUSPENDING',
  'SUSPENDED',
  'RESUMING',
] as const;
/** API_Cluster, API_Queue; `DELETED` is a node group's only (API_ComputeNodeGroup). */
export type PcsStatus = (typeof statuses)[number] | 'DELETED';

/** ISO 8601 on the wire, unlike the seconds of most services of this protocol. */
const time = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const summary = {
  name: z.string(),
  id: z.string(),
  arn: z.string(),
  createdAt: time,
  modifiedAt: time,
  status: z.string().transform((status) => status as PcsStatus),
};
const partSummary = { ...summary, clusterId: z.string() };
const errorInfo = z.array(z.looseObject({ code: z.string().optional(), message: z.string().optional() })).optional();
const secret = z.looseObject({ secretArn: z.string(), secretVersion: z.string() }).optional();

export const Cluster = z.looseObject({
  ...summary,
  scheduler: z.looseObject({ type: z.string(), version: z.string() }),
  size: z.string(),
  networking: z.looseObject({
    subnetIds: z.array(z.string()).optional(),
    securityGroupIds: z.array(z.string()).optional(),
    networkType: z.string().optional(),
  }),
  slurmConfiguration: z
    .looseObject({
      authKey: secret,
      jwtAuth: z.looseObject({ jwtKey: secret }).optional(),
      accounting: z.looseObject({ mode: z.string() }).optional(),
      slurmRest: z.looseObject({ mode: z.string() }).optional(),
      scaleDownIdleTimeInSeconds: z.number().optional(),
    })
    .optional(),
  endpoints: z
    .array(
      z.looseObject({
        type: z.string(),
        privateIpAddress: z.string(),
        publicIpAddress: z.string().optional(),
        ipv6Address: z.string().optional(),
        port: z.string(),
      }),
    )
    .optional(),
  errorInfo,
});
export const ComputeNodeGroup = z.looseObject({
  ...partSummary,
  subnetIds: z.array(z.string()),
  iamInstanceProfileArn: z.string(),
  scalingConfiguration: z.looseObject({ minInstanceCount: z.number(), maxInstanceCount: z.number() }),
  instanceConfigs: z.array(z.looseObject({ instanceType: z.string().optional() })),
  purchaseOption: z.string().optional(),
  errorInfo,
});
export const Queue = z.looseObject({
  ...partSummary,
  computeNodeGroupConfigurations: z.array(z.looseObject({ computeNodeGroupId: z.string().optional() })),
  errorInfo,
});
export type Cluster = z.output<typeof Cluster>;
export type ComputeNodeGroup = z.output<typeof ComputeNodeGroup>;
export type Queue = z.output<typeof Queue>;

const cluster = z.looseObject({ cluster: Cluster.optional() });
const computeNodeGroup = z.looseObject({ computeNodeGroup: ComputeNodeGroup.optional() });
const queue = z.looseObject({ queue: Queue.optional() });
const nothing = z.looseObject({});
const nextToken = z.string().optional();

export const outputs = {
  CreateCluster: cluster,
  GetCluster: cluster,
  ListClusters: z.looseObject({ clusters: z.array(z.looseObject(summary)), nextToken }),
  UpdateCluster: cluster,
  DeleteCluster: nothing,
  CreateComputeNodeGroup: computeNodeGroup,
  GetComputeNodeGroup: computeNodeGroup,
  ListComputeNodeGroups: z.looseObject({ computeNodeGroups: z.array(z.looseObject(partSummary)), nextToken }),
  UpdateComputeNodeGroup: computeNodeGroup,
  DeleteComputeNodeGroup: nothing,
  CreateQueue: queue,
  GetQueue: queue,
  ListQueues: z.looseObject({ queues: z.array(z.looseObject(partSummary)), nextToken }),
  UpdateQueue: queue,
  DeleteQueue: nothing,
  TagResource: nothing,
  UntagResource: nothing,
  ListTagsForResource: z.looseObject({ tags: z.record(z.string(), z.string()).optional() }),
} satisfies Record<Operation, z.ZodType>;

export type Output<O extends Operation> = z.output<(typeof outputs)[O]>;
