import assert from 'node:assert/strict';
import type { FeatureRow } from '../../../src/contracts/model.ts';
import type { RunResult } from '../../../src/serving/endpoint/inference/messages.ts';
import { type Ask, ModelQueue } from '../../../src/serving/endpoint/inference/model-queue.ts';
import type { Lane } from '../../../src/serving/endpoint/inference/process.ts';
import { ServingError, servingErrors } from '../../../src/serving/errors.ts';

/** A lane whose batches end when the test says so. */
class HeldLane implements Lane {
  readonly batches: FeatureRow[][][] = [];
  shuts = 0;
  private finish: { resolve(results: RunResult[]): void; reject(error: Error): void } | undefined;

  run(requests: FeatureRow[][]): Promise<RunResult[]> {
    assert.equal(this.finish, undefined, 'one batch at a time');
    this.batches.push(requests);
    return new Promise((resolve, reject) => {
      this.finish = { resolve, reject };
    });
  }
  shut(): void {
    assert.equal(this.finish, undefined, 'never during a batch');
    this.shuts++;
  }

  async answer(): Promise<void> {
    const { resolve } = this.finish!;
    this.finish = undefined;
    resolve(
      this.batches.at(-1)!.map((rows) => ({ predictions: rows.map(({ id }) => ({ label: String(id), score: 1 })) })),
    );
    await settled();
  }
  async crash(): Promise<void> {
    const { reject } = this.finish!;
    this.finish = undefined;
    reject(new ServingError(servingErrors.inferenceCrashed, 'gone'));
    await settled();
  }
  /** Ids of each batch so far. */
  get ids(): string[] {
    return this.batches.map((batch) => batch.map((rows) => rows.map(({ id }) => id).join('+')).join(' '));
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const ask = (id: string, other: Partial<Ask> = {}): Ask => ({
  rows: [{ id }],
  timeoutMs: 5_000,
  shadow: false,
  ...other,
});
const limits = { maxWaiting: 4, maxWaitingShadow: 2, maxBatchRows: 3 };

describe('model queue', () => {
  let queue: ModelQueue;
  let lane: HeldLane;
  beforeEach(() => {
    queue = new ModelQueue(limits, () => {});
    lane = new HeldLane();
  });

  it('waits for a lane, then takes what waits up to the row limit', async () => {
    const answers = ['a', 'b', 'c', 'd'].map((id) => queue.ask(ask(id)).answer);
    assert.equal(queue.ready, false);
    queue.attach(lane);
    await lane.answer();
    await lane.answer();
    assert.deepEqual(lane.ids, ['a b c', 'd']);
    assert.deepEqual(
      (await Promise.all(answers)).flat().map(({ label }) => label),
      ['a', 'b', 'c', 'd'],
    );
    await queue.idle();
  });

  it('never splits a request, however many rows it has', async () => {
    queue.attach(lane);
    const first = queue.ask(ask('a')).answer;
    void queue.ask({ ...ask('b'), rows: ['b', 'c', 'd', 'e'].map((id) => ({ id })) });
    void queue.ask(ask('f'));
    await lane.answer();
    await first;
    await lane.answer();
    await lane.answer();
    assert.deepEqual(lane.ids, ['a', 'b+c+d+e', 'f']);
  });

  it('runs shadows only when no caller waits', async () => {
    queue.attach(lane);
    const answers = [ask('a'), ask('shadow', { shadow: true }), ask('b')].map((one) => queue.ask(one).answer);
    await lane.answer();
    await lane.answer();
    await lane.answer();
    await Promise.all(answers);
    assert.deepEqual(lane.ids, ['a', 'b', 'shadow']);
  });

  it('is bounded, for callers and shadows apart', () => {
    const full = { type: 'Overloaded' };
    for (let index = 0; index < 4; index++) void queue.ask(ask('a'));
    assert.throws(() => queue.ask(ask('b')), full);
    for (let index = 0; index < 2; index++) void queue.ask(ask('s', { shadow: true }));
    assert.throws(() => queue.ask(ask('s', { shadow: true })), full);
    queue.attach(lane);
    assert.equal(queue.waiting, 1);
    void queue.ask(ask('c'));
  });

  it('drops who left and whose time is over before they cost anything', async () => {
    const leaver = queue.ask(ask('leaver'));
    const late = queue.ask(ask('late', { timeoutMs: 1 }));
    const patient = queue.ask(ask('patient'));
    leaver.cancel();
    await assert.rejects(leaver.answer, { type: 'Cancelled' });
    await assert.rejects(late.answer, { type: 'DeadlineExceeded' });
    queue.attach(lane);
    await lane.answer();
    await patient.answer;
    assert.deepEqual(lane.ids, ['patient']);
  });

  it('asks once more after a crash, each request by itself, so that only the one that kills is refused', async () => {
    queue.attach(lane);
    const first = queue.ask(ask('first')).answer;
    const [killer, innocent] = [queue.ask(ask('killer')).answer, queue.ask(ask('innocent')).answer];
    await lane.answer();
    await first;
    await lane.crash();
    assert.equal(queue.ready, false);

    const [second, third] = [new HeldLane(), new HeldLane()];
    queue.attach(second);
    assert.deepEqual(second.ids, ['killer']);
    const refused = assert.rejects(killer, { type: 'InferenceCrashed' });
    await second.crash();
    await refused;
    queue.attach(third);
    await third.answer();
    assert.deepEqual(third.ids, ['innocent']);
    assert.equal((await innocent)[0]!.label, 'innocent');
  });

  it('refuses at once whoever cannot wait until a model that died is back, and keeps whoever can', async () => {
    queue.attach(lane);
    const hurried = queue.ask(ask('hurried', { timeoutMs: 1_000 })).answer;
    const patient = queue.ask(ask('patient', { timeoutMs: 60_000 })).answer;
    const copy = queue.ask(ask('copy', { timeoutMs: 1_000, shadow: true })).answer;
    await lane.crash();
    const refused = Promise.all([hurried, copy].map((answer) => assert.rejects(answer, { type: 'InferenceCrashed' })));
    queue.awayFor(30_000);
    await refused;
    assert.throws(
      () => queue.ask(ask('late', { timeoutMs: 1_000 })),
      ({ type, retryAfterMs }: ServingError) => type === 'InferenceCrashed' && Math.abs(retryAfterMs! - 30_000) < 5_000,
    );
    assert.equal(queue.waiting, 1);

    const successor = new HeldLane();
    queue.attach(successor);
    const again = queue.ask(ask('again', { timeoutMs: 1_000 })).answer;
    await successor.answer();
    await successor.answer();
    assert.deepEqual(successor.ids, ['patient', 'again']);
    assert.deepEqual([(await patient)[0]!.label, (await again)[0]!.label], ['patient', 'again']);
    await queue.idle();
  });

  it('refuses one that was under way when the model died for so long, whichever news comes first', async () => {
    queue.attach(lane);
    const answer = queue.ask(ask('a', { timeoutMs: 1_000 })).answer;
    queue.detach(lane);
    queue.awayFor(30_000);
    const refused = assert.rejects(answer, { type: 'InferenceCrashed' });
    await lane.crash();
    await refused;
    await queue.idle();
  });

  it('lets a detached lane finish its batch and gives it no other', async () => {
    queue.attach(lane);
    const answer = queue.ask(ask('a')).answer;
    const successor = new HeldLane();
    queue.attach(successor);
    queue.detach(lane);
    assert.equal(lane.shuts, 0);
    void queue.ask(ask('b'));
    await lane.answer();
    await answer;
    assert.equal(lane.shuts, 1);
    assert.deepEqual([lane.ids, successor.ids], [['a'], ['b']]);
    queue.detachAll();
    await successor.answer();
    assert.equal(successor.shuts, 1);
  });
});
