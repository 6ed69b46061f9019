import { z } from 'zod';
import * as names from './names.ts';

/** Parts of requests, named as in the PCS API Reference (Data Types). */

const customSettings = z.array(z.strictObject({ parameterName: z.string(), parameterValue: z.string() })).optional();
const mode = z.enum(['STANDARD', 'NONE']);
/** -1: kept for ever. 0 is refused by the service: it would keep nothing (API_AccountingRequest). */
const defaultPurgeTimeInDays = z
  .int()
  .min(-1)
  .max(10_000)
  .refine((days) => days !== 0, { error: '-1 (never), or 1 to 10000 days' })
  .optional();
const clusterIdleSeconds = z.int().min(1).max(10_000_000).optional();
/** -1: as the cluster says. */
const groupIdleSeconds = z.int().min(-1).max(10_000_000).optional();

const jobSubmitPlugins = z
  .array(
    z.strictObject({
      name: names.PluginName,
      type: z.enum(['STARLARK']),
      scriptSource: z.strictObject({
        scriptLocation: names.S3Location,
        s3VersionId: names.S3VersionId.optional(),
        checksum: names.Checksum.optional(),
      }),
    }),
  )
  .max(1)
  .optional();

const clusterSettings = {
  scaleDownIdleTimeInSeconds: clusterIdleSeconds,
  slurmCustomSettings: customSettings,
  slurmdbdCustomSettings: customSettings,
  cgroupCustomSettings: customSettings,
  jobSubmitPlugins,
};
export const ClusterSlurm = z.strictObject({
  ...clusterSettings,
  accounting: z.strictObject({ mode, defaultPurgeTimeInDays }).optional(),
  slurmRest: z.strictObject({ mode }).optional(),
});
export const UpdateClusterSlurm = z.strictObject({
  ...clusterSettings,
  accounting: z.strictObject({ mode: mode.optional(), defaultPurgeTimeInDays }).optional(),
  slurmRest: z.strictObject({ mode: mode.optional() }).optional(),
});
export const NodeGroupSlurm = z.strictObject({
  scaleDownIdleTimeInSeconds: groupIdleSeconds,
  slurmCustomSettings: customSettings,
  gresCustomSettings: z.array(z.record(z.string(), z.string())).optional(),
});
export const QueueSlurm = z.strictObject({ slurmCustomSettings: customSettings });

export const Networking = z.strictObject({
  subnetIds: z.array(names.SubnetId).min(1).optional(),
  securityGroupIds: z.array(names.SecurityGroupId).optional(),
  networkType: z.enum(['IPV4', 'IPV6']).optional(),
});

/** Instances, all the time and at most. */
export const Scaling = z
  .strictObject({ minInstanceCount: z.int().min(0), maxInstanceCount: z.int().min(0) })
  .refine(({ minInstanceCount, maxInstanceCount }) => minInstanceCount <= maxInstanceCount, {
    error: 'minInstanceCount is more than maxInstanceCount',
  });
export const PurchaseOption = z.enum(['ONDEMAND', 'SPOT', 'CAPACITY_BLOCK', 'INTERRUPTIBLE_CAPACITY_RESERVATION']);
export const SpotOptions = z.strictObject({
  allocationStrategy: z.enum(['lowest-price', 'capacity-optimized', 'price-capacity-optimized']).optional(),
});
export const LaunchTemplateMode = z.enum(['CUSTOM', 'MANAGED']);
export const LaunchTemplate = z.strictObject({ id: z.string(), version: z.string() });
export const Instances = z.array(z.strictObject({ instanceType: z.string().optional() }));
export const QueueNodeGroups = z.array(z.strictObject({ computeNodeGroupId: z.string().optional() }));

const scripts = z
  .array(
    z.strictObject({
      name: names.ScriptName,
      scriptSource: z.strictObject({
        scriptLocation: names.ScriptLocation,
        s3VersionId: names.S3VersionId.optional(),
        checksum: names.Checksum.optional(),
      }),
      arguments: z.array(z.string().max(256)).max(20).optional(),
      onError: z.enum(['TERMINATE', 'STOP_SEQUENCE', 'CONTINUE']).optional(),
      executionPolicy: z.enum(['FIRST_BOOT_ONLY', 'EVERY_BOOT']).optional(),
    }),
  )
  .min(1)
  .max(20)
  .optional();
export const LifecycleActions = z.strictObject({
  stages: z.strictObject({ nodeBootstrapped: scripts, nodeReady: scripts }),
  scriptCachingPolicy: z.enum(['CACHE_ONCE', 'REFRESH_ON_REBOOT']).optional(),
});

const repairAction = z.enum(['AUTO', 'REPLACE', 'ISOLATE', 'NONE']).optional();
export const HealthChecks = z.strictObject({
  healthMonitoring: z.strictObject({ mode: z.enum(['NONE', 'STANDARD']).optional(), repairAction }).optional(),
  deepHealthChecks: z
    .strictObject({
      onStart: z
        .strictObject({ profile: z.enum(['NONE', 'QUICK', 'MEDIUM', 'LONG']).optional(), repairAction })
        .optional(),
    })
    .optional(),
});
