import { Readable } from 'node:stream';
import type { JobSpec } from '../../src/contracts/job.ts';
import { SlurmTarget } from '../../src/contracts/slurm-target.ts';
import { channelsFromBlobs } from '../../src/jobs/materialise.ts';
import { openTransport } from '../../src/jobs/slurm/open.ts';
import { createSlurmRunner } from '../../src/jobs/slurm/runner.ts';

/** A worker that is killed at one step of a submit: `submit-and-die.ts '{target, environment, limits, spec, dieAt}'`. */
const { target, environment, limits, spec, dieAt } = JSON.parse(process.argv[2]!) as {
  target: object;
  environment: Record<string, string>;
  limits: object;
  spec: JobSpec;
  dieAt: string;
};
const secrets = { resolve: async () => 'none' };
const parsed = SlurmTarget.parse(target);
const runner = createSlurmRunner({
  name: 'lab',
  target: parsed,
  transport: openTransport(parsed, secrets, environment),
  channels: channelsFromBlobs({ get: async () => Readable.from([]) }),
  secrets,
  hostEnvironment: environment,
  limits,
  log: (event) => {
    if (event === dieAt) process.kill(process.pid, 'SIGKILL');
  },
});
await runner.submit(spec);
