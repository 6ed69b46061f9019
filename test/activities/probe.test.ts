import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createDataActivities } from '../../src/activities/data.ts';
import type { DataActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { House, quiet, row, rows, run } from './house.ts';

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

  /** Looks again and again, as the server has an activity tried again: with the details of the attempt before. */
  const looksOf = async (specDigest: Digest, looks: number): Promise<ApplicationFailure[]> => {
    const failures: ApplicationFailure[] = [];
    let heartbeatDetails: unknown;
    for (let n = 0; n < looks; n++) {
      const environment = new MockActivityEnvironment({ heartbeatDetails }, { logger: quiet });
      environment.on('heartbeat', (details) => {
        heartbeatDetails = details;
      });
      failures.push(await failureOf(environment.run(data.probeData, { loop: 'spam', specDigest, waitMs: 1_000 })));
    }
    return failures;
  };
  const endsOf = (failures: ApplicationFailure[]) => failures.map(({ type, nonRetryable }) => [type, nonRetryable]);

  it('a program that is broken look after look fails for good, with its words; a moment of it is forgotten', async () => {
    await house.deliver('{broken');
    const spec = await house.apply({ triggers: { newRows: 10 } });
    const contract = await looksOf(spec, 3);
    assert.deepEqual(endsOf(contract), [
      ['BadData', false],
      ['BadData', false],
      ['BadData', true],
    ]);
    assert.deepEqual(contract[0]!.nextRetryDelay, 1_000);
    assert.match(contract[2]!.message, /line 1 is not JSON/);
    const missing = await looksOf(await house.apply({ data: { program: ['./gone'] } }), 3);
    assert.deepEqual([missing[1]!.nonRetryable, missing[2]!.nonRetryable], [false, true]);

    let heartbeatDetails: unknown = { brokenLooks: 2 };
    await house.write('rows.jsonl', `${JSON.stringify(row(1))}\n`);
    const environment = new MockActivityEnvironment({ heartbeatDetails }, { logger: quiet });
    environment.on('heartbeat', (details) => {
      heartbeatDetails = details;
    });
    const fine = await failureOf(environment.run(data.probeData, { loop: 'spam', specDigest: spec, waitMs: 1_000 }));
    assert.deepEqual([fine.type, heartbeatDetails], ['NotYet', { newRows: 1 }]);
  });

  it('a program that ends with an exit code has growing pauses to recover, then fails for good, with its last words', async () => {
    await house.write('fails.mjs', "console.error('connecting'); console.error('no such host'); process.exit(1);");
    const failures = await looksOf(await house.apply({ data: { program: ['node', 'fails.mjs'] } }), 6);
    assert.deepEqual(endsOf(failures), [
      ...Array.from({ length: 5 }, () => ['DataProgramFailed', false]),
      ['DataProgramFailed', true],
    ]);
    assert.deepEqual(
      failures.map(({ nextRetryDelay }) => nextRetryDelay),
      [1_000, 2_000, 4_000, 8_000, 16_000, undefined],
    );
    assert.match(failures[5]!.message, /exit code 1: connecting\nno such host$/);
  });

  it('rows of which none fits are told, where no cycle would start to tell it', async () => {
    const spec = await house.apply({ triggers: { newRows: 10 } });
    const renamed = (n: number) => {
      const { text, ...rest } = row(n);
      return JSON.stringify({ ...rest, body: text });
    };
    await house.deliver(...Array.from({ length: 9 }, (_, n) => renamed(n)));
    assert.deepEqual(await probe(spec), { newRows: 0, trigger: null }, 'too few to say so');
    await house.deliver(renamed(9));
    assert.match((await failureOf(probe(spec))).message, /none of 10 rows fits the schema: text: expected text/);
    await house.deliver(row(10));
    assert.deepEqual(await probe(spec), { newRows: 1, trigger: null }, 'its next cycle will count them');
  });

  it('whatever else fails, the loop that asks lives on, and asks again', async () => {
    const noSpec = await looksOf(`sha256:${'0'.repeat(64)}` as Digest, 4);
    for (const failure of noSpec) assert.deepEqual([failure.type, failure.nonRetryable], ['NotFound', false]);
  });
});
