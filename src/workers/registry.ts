import type { Registry } from '../activities/registry.ts';
import { TokenBuckets } from '../aws/token-bucket.ts';
import { type SageMakerTargets, sageMakerTargetPrefix } from '../contracts/sagemaker-target.ts';
import { RegistryRefused } from '../registry/sagemaker/errors.ts';
import { readTargets } from '../stack/targets.ts';
import type { Store } from '../store/types.ts';

export interface RegistryDeps {
  store: Store;
  log: (event: string, fields: Record<string, string | number>) => void;
}

/** The registry that mirrors this environment's models, where a target has one; AWS's limits are counted in one place. */
export async function mirroredRegistry(targetsFile: string, { store, log }: RegistryDeps) {
  const targets: SageMakerTargets = await readTargets(targetsFile).then(
    ({ sagemaker }) => sagemaker,
    (error: Error) => {
      // Whose jobs need the file says so and stops; loops, rollouts and rollbacks go on without a mirror.
      log('registry.noTargets', { error: error.message });
      return {};
    },
  );
  const [name] = Object.entries(targets).flatMap(([target, { registry }]) => (registry ? [target] : []));
  const buckets = new TokenBuckets();
  let opened: Promise<Registry> | undefined;
  return {
    name: name === undefined ? undefined : `${sageMakerTargetPrefix}${name}`,
    open: async (wanted: string): Promise<Registry> => {
      if (name === undefined || wanted !== `${sageMakerTargetPrefix}${name}`)
        throw new RegistryRefused(`${wanted} has no "registry" in ${targetsFile} any more`);
      // A second of loading, for those who have such a target.
      opened ??= import('../registry/sagemaker/open.ts')
        .then(({ openSageMakerRegistry }) =>
          openSageMakerRegistry({ name, target: targets[name]!, store, buckets, log }),
        )
        .catch((error: unknown) => {
          opened = undefined;
          throw error;
        });
      return await opened;
    },
  };
}
