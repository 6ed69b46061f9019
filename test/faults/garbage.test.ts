import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import type { Digest } from '../../src/contracts/digest.ts';
import { collectGarbage } from '../../src/store/gc.ts';
import { openStore } from '../../src/store/open.ts';
import { eventually } from '../temporal.ts';
import { isLongForm } from './harness/long-form.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { sharedStack } from './harness/shared-stack.ts';
import { Story } from './harness/story.ts';

const cycles = isLongForm ? 20 : 5;
/** Much younger than the week of `store gc`, and still longer than anybody here needs between a put and its ref. */
const minAgeMs = 20_000;

describe('garbage collection that runs all the time', function () {
  this.timeout(900_000);

  it('deletes what nobody needs, and nothing that a cycle needs', async () => {
    const stack = await sharedStack();
    const story = new Story(stack, 'garbage collection runs through cycles');
    const store = await openStore(stack.environment.storeUrl);
    const planted: Digest[] = [];
    let [isOver, deleted, runs] = [false, 0, 0];
    const collecting = (async () => {
      while (!isOver) {
        planted.push(await store.blobs.put(Buffer.from(`nobody needs this: ${runs}`)));
        deleted += (await collectGarbage(store, { minAgeMs })).deleted;
        runs += 1;
        await setTimeout(250);
      }
    })();
    const loop = await LoopUnderFault.write(stack, 'collected');
    try {
      await loop.apply();
      await loop.report(1);
      for (let n = 2; n <= cycles; n += 1) {
        await loop.deliver(100);
        const { outcome, detail } = await loop.report(n);
        assert.equal(outcome, 'approved', detail);
      }
      // Old enough at last, should the cycles have been quicker than that.
      const isGone = async () => !(await store.blobs.has(planted[0]!));
      await eventually('what nobody needs is gone', isGone, 4 * minAgeMs);
    } finally {
      isOver = true;
      await collecting;
    }
    story.hasFired(`${deleted} blobs were deleted in ${runs} runs`);
    story.goesOn();
    await story.end({ note: `${cycles} cycles, ${runs} collections, ${deleted} blobs that nobody needs deleted` });
  });
});
