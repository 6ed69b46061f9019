import type { JobRunner } from '../contracts/job.ts';
import type { SlurmTargets } from '../contracts/slurm-target.ts';
import { allowedEnvironment } from '../jobs/container-contract.ts';
import type { ChannelSource } from '../jobs/materialise.ts';
import type { SecretSource } from '../jobs/secrets.ts';
import { openTransport } from '../jobs/slurm/open.ts';
import { createSlurmRunner } from '../jobs/slurm/runner.ts';
import { createSlurmTargets } from '../jobs/slurm/targets.ts';

export interface SlurmDeps {
  channels: ChannelSource;
  secrets: SecretSource;
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  log: (event: string, fields: Record<string, string | number>) => void;
}

/** One runner for all Slurm clusters that the targets file names. */
export function slurmRunner(targets: SlurmTargets, deps: SlurmDeps): JobRunner {
  const environment = allowedEnvironment(deps.hostEnvironment);
  return createSlurmTargets(
    new Map(
      Object.entries(targets).map(([name, target]) => [
        name,
        createSlurmRunner({ name, target, transport: openTransport(target, deps.secrets, environment), ...deps }),
      ]),
    ),
  );
}
