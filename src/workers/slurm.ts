import type { JobRunner } from '../contracts/job.ts';
import { type SlurmTargets, slurmTargetPrefix } from '../contracts/slurm-target.ts';
import { allowedEnvironment } from '../jobs/container-contract.ts';
import type { ChannelSource } from '../jobs/materialise.ts';
import type { SecretSource } from '../jobs/secrets.ts';
import { openTransport } from '../jobs/slurm/open.ts';
import { createSlurmRunner } from '../jobs/slurm/runner.ts';
import { createTargets } from '../jobs/targets.ts';

export interface SlurmDeps {
  channels: ChannelSource;
  secrets: SecretSource;
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  log: (event: string, fields: Record<string, string | number>) => void;
}

/** One runner for all Slurm clusters that the targets file names. */
export function slurmRunner(targets: SlurmTargets, deps: SlurmDeps): JobRunner {
  const environment = allowedEnvironment(deps.hostEnvironment);
  return createTargets(
    'slurm',
    slurmTargetPrefix,
    new Map(
      Object.entries(targets).map(([name, target]) => {
        const transport = openTransport(target, deps.secrets, environment);
        const runner = createSlurmRunner({ name, target, transport, ...deps });
        return [name, () => runner];
      }),
    ),
  );
}
