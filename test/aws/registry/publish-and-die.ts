import { TokenBuckets } from '../../../src/aws/token-bucket.ts';
import type { Registrable } from '../../../src/contracts/messages.ts';
import type { SageMakerTarget } from '../../../src/contracts/sagemaker-target.ts';
import { openSageMakerRegistry } from '../../../src/registry/sagemaker/open.ts';
import { openStore } from '../../../src/store/open.ts';

/** A worker that is killed when its package is made and nobody has heard of it: `publish-and-die.ts '{target, storeUrl, registrable}'`. */
const { target, storeUrl, registrable } = JSON.parse(process.argv[2]!) as {
  target: SageMakerTarget;
  storeUrl: string;
  registrable: Registrable;
};
const registry = openSageMakerRegistry({
  ...{ name: 'double', target, store: await openStore(storeUrl), buckets: new TokenBuckets() },
  log: (event) => {
    if (event === 'registry.created') process.kill(process.pid, 'SIGKILL');
  },
});
await registry.publish(registrable);
