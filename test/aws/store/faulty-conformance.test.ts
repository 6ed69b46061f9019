import assert from 'node:assert/strict';
import { describeStore } from '../../store/conformance.ts';
import { BucketOfTest } from '../../support/versitygw/bucket.ts';

const seed = 20260811;

describeStore(
  'S3 store through a network that fails by seed',
  async () => {
    const bucket = await BucketOfTest.start({ seed, share: 0.03 });
    const again = () => bucket.open();
    return {
      store: await again(),
      again,
      close: async () => {
        const { fired } = bucket.proxy;
        await bucket.stop();
        for (const fault of [
          'error500',
          'slowDown503',
          'conflict409',
          'reset',
          'lostReply',
          'truncated',
          'stalled',
          'slow',
        ] as const)
          assert.ok((fired.get(fault) ?? 0) > 0, `${fault} did not happen`);
      },
    };
  },
  { sequences: 8, entries: 12 },
);
