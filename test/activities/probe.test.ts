import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { createDataActivities } from '../../src/activities/data.ts';
import type { DataActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { House, row, rows, run } from './house.ts';

describe('probe for new data', () => {
  let house: House;
  let data: DataActivities;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
  });
  afterEach(() => house.close());

  const probe = (specDigest: Digest, waitMs: number | null = null) =>
    run(data.probeData, { loop: 'spam', specDigest, waitMs });
  const failureOf = async (asked: Promise<unknown>): Promise<ApplicationFailure> => {
    const error = await asked.then(
      () => assert.fail('expected a failure'),
      (e: unknown) => e,
    );
    assert.ok(error instanceof ApplicationFailure, String(error));
    return error;
  };

  it('triggers on enough new rows, not on those it has', async () => {
    const spec = await house.apply({ triggers: { newRows: 10 } });
    await house.deliver(...rows(0, 20));
    assert.deepEqual(await probe(spec), { newRows: 20, trigger: '20 new rows' });
    await house.snapshotAndAccept(spec);
    await house.deliver(...rows(5, 29));
    assert.deepEqual(await probe(spec), { newRows: 9, trigger: null });
    await house.deliver(row(29), row(29));
    assert.deepEqual(await probe(spec), { newRows: 10, trigger: '10 new rows' });
  });

  it('waits by failing benignly, with the time until the next look', async () => {
    const failure = await failureOf(probe(await house.apply({ triggers: { newRows: 10 } }), 2_000));
    assert.deepEqual(
      [failure.type, failure.category, failure.nextRetryDelay, failure.nonRetryable],
      ['NotYet', 'BENIGN', 2_000, false],
    );
  });

  it('triggers on low live accuracy, with its evidence, and not by chance', async () => {
    const spec = await house.apply({ triggers: { newRows: 1_000, liveAccuracyBelow: 0.9 } });
    await house.deliver(...rows(0, 40));
    await house.snapshotAndAccept(spec);
    const fresh = rows(40, 140);
    const wrongFor = (from: number, to: number, wrong: number) =>
      house.answered(
        fresh.slice(from, to).map(({ id, kind }, i) => ({
          inferenceId: id,
          answer: { label: i < wrong ? 'neither' : String(kind), score: 0.5 },
        })),
      );
    await wrongFor(0, 40, 40);
    await house.deliver(...fresh.slice(0, 40));
    assert.deepEqual(await probe(spec), { newRows: 40, trigger: null }, '40 answers are too few');
    await wrongFor(40, 60, 0);
    await house.deliver(...fresh.slice(40, 60));
    assert.deepEqual(await probe(spec), {
      newRows: 60,
      trigger: 'live accuracy 33.3 % on 60 labelled answers, below 90.0 %',
    });

    // 12 of 100 wrong are below the limit by chance as easily as not.
    await house.answered(
      fresh.map(({ id, kind }, i) => ({
        inferenceId: id,
        answer: { label: i < 12 ? 'neither' : String(kind), score: 0.5 },
      })),
    );
    await house.deliver(...fresh.slice(60));
    assert.deepEqual(await probe(spec), { newRows: 100, trigger: null });
  });

  it('never fails for good: the loop that asks lives on, and asks again', async () => {
    await house.deliver('{broken');
    const contract = await failureOf(probe(await house.apply(), 1_000));
    assert.deepEqual([contract.type, contract.nonRetryable], ['BadData', false]);
    assert.match(contract.message, /line 1 is not JSON/);
    const missing = await failureOf(probe(await house.apply({ data: { program: ['./gone'] } }), 1_000));
    assert.deepEqual([missing.type, missing.nonRetryable], ['InvalidInput', false]);
    const noSpec = await failureOf(probe(`sha256:${'0'.repeat(64)}`, 1_000));
    assert.deepEqual([noSpec.type, noSpec.nonRetryable], ['NotFound', false]);
  });
});
