import { TokenBuckets } from '../../../src/aws/token-bucket.ts';
import type { JobSpec } from '../../../src/contracts/job.ts';
import type { SageMakerTarget } from '../../../src/contracts/sagemaker-target.ts';
import type { WrapperLimits } from '../../../src/jobs/local/launch.ts';
import { openSageMakerRunner } from '../../../src/jobs/sagemaker/open.ts';
import { openStore } from '../../../src/store/open.ts';

/** A worker that is killed at one step of a submit: `submit-and-die.ts '{target, storeUrl, folder, spec, dieAt}'`. */
const { target, storeUrl, folder, limits, spec, dieAt } = JSON.parse(process.argv[2]!) as {
  target: SageMakerTarget;
  storeUrl: string;
  folder: string;
  limits: WrapperLimits;
  spec: JobSpec;
  dieAt: string;
};
const runner = await openSageMakerRunner({
  ...{ name: 'double', target, folder, limits },
  store: await openStore(storeUrl),
  buckets: new TokenBuckets(),
  secrets: { resolve: async () => 'none' },
  log: (event) => {
    if (event === dieAt) process.kill(process.pid, 'SIGKILL');
  },
});
await runner.submit(spec);
