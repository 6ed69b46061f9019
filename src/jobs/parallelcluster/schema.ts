import { z } from 'zod';

/**
 * The parts of a ParallelCluster v3 configuration that say what its queues are (AWS ParallelCluster user guide, "Cluster
 * configuration file", Scheduling section). Everything else in the file is left alone: its own tools check it.
 */
const name = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,24}$/, 'expected a name of lower-case letters, digits and "-", at most 25');
const instanceType = z
  .string()
  .regex(/^[a-z][a-z0-9-]*\.[a-z0-9-]+$/, 'expected an instance type such as "hpc7a.96xlarge"');
const count = z.number().int().min(0);

const computeResource = z
  .looseObject({
    Name: name,
    InstanceType: instanceType.optional(),
    Instances: z
      .array(z.looseObject({ InstanceType: instanceType }))
      .min(1)
      .optional(),
    MinCount: count.default(0),
    MaxCount: count.min(1).default(10),
    SpotPrice: z.number().positive().optional(),
    DisableSimultaneousMultithreading: z.boolean().default(false),
    Efa: z.looseObject({ Enabled: z.boolean().default(false), GdrSupport: z.boolean().default(false) }).optional(),
  })
  .refine(
    (one) => (one.InstanceType === undefined) !== (one.Instances === undefined),
    'expected either InstanceType or Instances',
  )
  .refine((one) => one.MinCount <= one.MaxCount, { path: ['MinCount'], message: 'expected no more than MaxCount' });

const queue = z.looseObject({
  Name: name,
  CapacityType: z.enum(['ONDEMAND', 'SPOT', 'CAPACITY_BLOCK']).default('ONDEMAND'),
  ComputeResources: z.array(computeResource).min(1),
  Image: z.looseObject({ CustomAmi: z.string().optional() }).optional(),
});

export const ParallelClusterFile = z.looseObject({
  Region: z.string().optional(),
  Image: z.looseObject({ Os: z.string(), CustomAmi: z.string().optional() }),
  HeadNode: z.looseObject({ InstanceType: instanceType }).optional(),
  Scheduling: z.looseObject({
    Scheduler: z.literal('slurm', 'expected "slurm": AWS Batch has queues of another kind'),
    SlurmQueues: z.array(queue).min(1),
  }),
});
export type ParallelClusterFile = z.output<typeof ParallelClusterFile>;
