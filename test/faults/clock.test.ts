import assert from 'node:assert/strict';
import { eventually } from '../temporal.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { StackUnderFault } from './harness/stack.ts';
import { Story } from './harness/story.ts';
import { Traffic } from './harness/traffic.ts';
import { inTraining, undisturbedWeights, weightsOf } from './harness/training.ts';

const hourMs = 3_600_000;

describe('the clock of the machine jumps', function () {
  this.timeout(400_000);
  let stack: StackUnderFault;
  let mail: LoopUnderFault;
  let undisturbed: string;

  /** What a worker takes for the time, by what it writes. */
  const believes = async (loop: LoopUnderFault, n: number): Promise<number> =>
    Date.parse((await loop.report(n)).endedAt);

  before(async () => {
    stack = await StackUnderFault.create(['mail'], { clock: true });
    await stack.start();
    const probation = { for: '90d', rollbackOn: { accuracy: '-3pt' } };
    mail = await LoopUnderFault.write(stack, 'mail', { endpoint: 'mail', rollout: { probation } });
    await mail.apply();
    assert.equal((await mail.report(1)).outcome, 'deployed');
    undisturbed = await undisturbedWeights(stack);
  });
  after(() => stack?.destroy());

  for (const [n, says, toMs] of [
    [2, 'an hour forward', hourMs],
    [3, 'back again', 0],
    [4, 'an hour back', -hourMs],
  ] as const)
    it(`${says}, in the middle of a training and of a canary: neither ends by it`, async () => {
      const story = new Story(stack, `the clock jumps ${says}, mid-training and mid-canary`);
      const loop = await inTraining(stack, `clock-${n}`);
      // Without traffic a canary waits.
      await mail.deliver(100);
      const endpoint = stack.goto3.endpoint('mail');
      await eventually('the canary has begun', async () => (await endpoint.status()).candidate !== null, 120_000);
      stack.jumpClock(toMs);
      story.hasFired(`all Node processes are ${toMs} ms ahead`);
      const traffic = new Traffic(stack, 'mail', 2);
      try {
        const report = await mail.report(n);
        assert.equal(report.outcome, 'deployed', report.detail);
      } finally {
        await traffic.stop();
      }
      assert.equal(await weightsOf(stack, await loop.report(1)), undisturbed);
      story.goesOn();
      assert.equal((await loop.starts()).length, 1, 'one training');
      assert.ok(Math.abs((await believes(mail, n)) - Date.now() - toMs) < hourMs / 2, 'the workers believe it');
      const { frozen, barred } = await endpoint.status();
      assert.deepEqual([frozen, barred], [null, []]);
      assert.deepEqual(traffic.failedSince(0), []);
      await story.end();
    });
});
