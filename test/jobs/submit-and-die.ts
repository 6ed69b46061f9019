import type { JobSpec } from '../../src/contracts/job.ts';
import type { LocalRunnerOptions } from '../../src/jobs/local/runner.ts';
import { createLocalRunner } from '../../src/jobs/local/runner.ts';

/** A submitter that is killed by SIGKILL at one step of a submit; each step is one event of the runner's log. */
const { options, spec, dieAt } = JSON.parse(process.argv[2]!) as {
  options: Pick<LocalRunnerOptions, 'jobsFolder' | 'host' | 'gpuLeases' | 'limits'>;
  spec: JobSpec;
  dieAt: string;
};
const dieNow = (): never => {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('not reached');
};

const runner = createLocalRunner({
  ...options,
  channels: { materialise: async () => void (dieAt === 'materialise' && dieNow()) },
  secrets: { resolve: async () => (dieAt === 'secrets' ? dieNow() : 'a value') },
  hostEnvironment: process.env,
  log: (event) => void (event === dieAt && dieNow()),
});
void runner.submit(spec);
