import assert from 'node:assert/strict';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEndpointActivities } from '../../src/activities/endpoint.ts';
import type { EndpointActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { constantModel } from '../serving/models.ts';
import { failure, House, quiet, row, rows, run, type TestRow } from './house.ts';

const dayMs = 86_400_000;

describe('probation', () => {
  let house: House;
  let endpoint: EndpointActivities;
  let spec: Digest;
  let model: Digest;
  let sinceMs: number;
  let cycles = 1;

  /** A version went to 100 % after the first data; the one before answers along as a shadow. */
  beforeEach(async () => {
    house = await House.open();
    endpoint = createEndpointActivities({ store: house.store, pollMs: 20 });
    spec = await house.apply();
    await house.deliver(...rows(0, 40));
    await house.snapshotAndAccept(spec);
    model = await house.model(constantModel(0.9));
    // Refs keep milliseconds: probation begins after the data that the version was trained on.
    sinceMs = Date.now() + 1;
    cycles = 1;
  });
  afterEach(() => house.close());

  const observation = (changes: { sinceMs?: number } = {}) => ({
    ...{ endpoint: 'mail', loop: 'spam', model, forMs: 7 * dayMs, accuracyLoss: 0.03, sinceMs },
    ...changes,
  });
  const look = async (info = {}) => await run(endpoint.observeProbation, observation(), info);

  /** Rows that both versions answered before their labels came. */
  const labelled = async (fresh: TestRow[], isRight: (i: number) => boolean, wasRight: (i: number) => boolean) => {
    const answer = (r: TestRow, right: boolean) => ({ label: right ? String(r.kind) : 'neither', score: 0.5 });
    await house.answered(
      fresh.flatMap((r, i) => [
        { inferenceId: r.id, timeMs: sinceMs + 10, model, answer: answer(r, isRight(i)) },
        { inferenceId: r.id, timeMs: sinceMs + 10, variant: 'stable', shadow: true, answer: answer(r, wasRight(i)) },
      ]),
    );
    await house.deliver(...fresh);
    cycles += 1;
    await house.snapshotAndAccept(spec, cycles);
  };
  const right = (): boolean => true;

  it('goes on, benignly, while no label has come', async () => {
    await assert.rejects(look(), failure('NotYet', 'No label has arrived yet'));
  });

  it('goes on while the data has not moved far enough, however late it is', async () => {
    await labelled(rows(40, 140), right, right);
    await assert.rejects(look(), failure('NotYet', 'differs by 0.00 pt', '100 labelled rows'));
  });

  it('is passed when the data has moved on far enough by its own clock', async () => {
    const end = new Date(Date.parse(row(39).at) + 7 * dayMs).toISOString();
    await labelled([...rows(40, 60), row(60, { at: end })], right, right);
    const { outcome, reason } = await look();
    assert.equal(outcome, 'passed');
    assert.match(reason, /21 labelled rows/);
  });

  it('rolls back when labels say that the version before was better', async () => {
    await labelled(
      rows(40, 240),
      (i) => i % 3 !== 0,
      (i) => i % 50 !== 0,
    );
    const { outcome, reason } = await look();
    assert.equal(outcome, 'rollback');
    assert.match(reason, /differs by -3\d\.\d+ pt from the version before, on the same rows/);
  });

  it('blames neither version for a hard week', async () => {
    await labelled(
      rows(40, 240),
      (i) => i % 2 === 0,
      (i) => i % 2 === 0,
    );
    await assert.rejects(look(), failure('NotYet', 'differs by 0.00 pt'));
  });

  it('counts neither background traffic, nor other versions, nor what was answered before, nor rows it was trained on', async () => {
    const fresh = rows(40, 240);
    const wrong = { label: 'neither', score: 0.5 };
    const after = { timeMs: sinceMs + 10, model, answer: wrong };
    await house.answered(
      fresh.flatMap(({ id }) => [
        { inferenceId: id, ...after, background: true },
        { inferenceId: id, ...after, timeMs: sinceMs - 10_000 },
        { inferenceId: id, ...after, model: `sha256:${'b'.repeat(64)}` },
      ]),
    );
    await house.answered(
      rows(0, 40).flatMap(({ id, kind }) => [
        { inferenceId: id, ...after },
        { inferenceId: id, ...after, variant: 'stable', shadow: true, answer: { label: String(kind), score: 1 } },
      ]),
    );
    await house.deliver(...fresh);
    await house.snapshotAndAccept(spec, 2);
    await assert.rejects(look(), failure('NotYet', 'No label has arrived yet'));
  });

  it('began when the store says, whichever attempt or life of the workflow asks', async () => {
    const end = new Date(Date.parse(row(39).at) + 7 * dayMs).toISOString();
    await labelled(rows(40, 60), right, right);
    await assert.rejects(look(), failure('NotYet'));
    await labelled([row(60, { at: end })], right, right);
    // Nothing of an earlier attempt is known, and six of the seven days had passed before this one began.
    assert.equal((await look({ heartbeatDetails: undefined })).outcome, 'passed');
  });

  it('looks again only when there are new labels', async () => {
    await labelled(rows(40, 60), right, right);
    const first = new MockActivityEnvironment({}, { logger: quiet });
    let details: unknown;
    first.on('heartbeat', (said: unknown) => {
      details = said;
    });
    await assert.rejects(first.run(endpoint.observeProbation, observation()), failure('NotYet', '20 labelled rows'));

    // The evidence that is written now would roll back, if it were read.
    await house.answered(
      rows(40, 60).map(({ id }) => ({
        inferenceId: id,
        timeMs: sinceMs + 20,
        model,
        answer: { label: 'neither', score: 0 },
      })),
    );
    const second = new MockActivityEnvironment({ heartbeatDetails: details }, { logger: quiet });
    let again: unknown;
    second.on('heartbeat', (said: unknown) => {
      again = said;
    });
    await assert.rejects(second.run(endpoint.observeProbation, observation()), failure('NotYet', '20 labelled rows'));
    const judged = (said: unknown) => ({ ...(said as { dataset: Digest; reason: string }), errors: null });
    assert.deepEqual(judged(again), judged(details), 'the attempt after that knows as much');

    await labelled(rows(60, 61), right, right);
    assert.equal((await look({ heartbeatDetails: details })).outcome, 'rollback');
  });

  describe('of what is not answered', () => {
    const failing = (from: number, count: number, alsoBefore = false) =>
      Array.from({ length: count }, (_, i) => `live-${from + i}`).flatMap((inferenceId) => [
        { inferenceId, model, answer: null, error: 'InferenceCrashed' },
        {
          inferenceId,
          variant: 'stable',
          shadow: true,
          ...(alsoBefore && { answer: null, error: 'PredictionFailed' }),
        },
      ]);
    /** Looks, and gives what it leaves for the next look. */
    const lookOn = async (heartbeatDetails: unknown) => {
      const environment = new MockActivityEnvironment({ heartbeatDetails }, { logger: quiet });
      let left: unknown;
      environment.on('heartbeat', (said: unknown) => {
        left = said;
      });
      const looking = environment.run(endpoint.observeProbation, { ...observation(), errorRateMargin: 0.05 });
      return { result: await (looking as Promise<{ outcome: string; reason: string }>).catch(() => null), left };
    };

    it('rolls back a version that fails where the one before does not, without a label', async () => {
      let { left, result } = await lookOn(undefined);
      assert.equal(result, null);
      await house.answered(failing(0, 2));
      ({ left, result } = await lookOn(left));
      assert.equal(result, null, 'two failures are no evidence');
      await house.answered(failing(2, 10));
      ({ result } = await lookOn(left));
      assert.equal(result?.outcome, 'rollback');
      assert.match(result.reason, /12 of 12 requests failed, 0 of 12 on the version before on the same traffic/);
    });

    it('blames nobody for traffic that both fail on', async () => {
      const { left } = await lookOn(undefined);
      await house.answered(failing(0, 200, true));
      assert.equal((await lookOn(left)).result, null);
    });
  });
});
