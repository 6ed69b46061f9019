import { join } from 'node:path';
import { TokenBuckets } from '../aws/token-bucket.ts';
import type { JobRunner } from '../contracts/job.ts';
import { type SageMakerTargets, sageMakerTargetPrefix } from '../contracts/sagemaker-target.ts';
import type { SecretSource } from '../jobs/secrets.ts';
import { createTargets } from '../jobs/targets.ts';
import type { Store } from '../store/types.ts';

export interface SageMakerDeps {
  store: Store;
  secrets: SecretSource;
  /** On this machine, for what jobs left until it is in the store. */
  folder: string;
  log: (event: string, fields: Record<string, string | number>) => void;
}

/** One runner for all SageMaker targets that the targets file names; AWS's limits are counted for all of them together. */
export function sageMakerRunner(targets: SageMakerTargets, { folder, ...deps }: SageMakerDeps): JobRunner {
  const buckets = new TokenBuckets();
  return createTargets(
    'sagemaker',
    sageMakerTargetPrefix,
    new Map(
      Object.entries(targets).map(([name, target]) => [
        name,
        async () => {
          // A second of loading, for those who have such a target.
          const { openSageMakerRunner } = await import('../jobs/sagemaker/open.ts');
          return await openSageMakerRunner({ name, target, buckets, folder: join(folder, name), ...deps });
        },
      ]),
    ),
  );
}
