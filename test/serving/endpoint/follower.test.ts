import assert from 'node:assert/strict';
import { pino } from 'pino';
import type { Digest } from '../../../src/contracts/digest.ts';
import { DesiredFollower } from '../../../src/serving/endpoint/desired/follower.ts';
import { ModelUnavailable } from '../../../src/serving/endpoint/inference/model-unavailable.ts';
import { ServingError } from '../../../src/serving/errors.ts';
import { until } from '../waiting.ts';
import { World } from '../world.ts';

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;

/** A pool whose loads end when and how the test says. */
class HeldPool {
  readonly loads: { models: readonly Digest[]; resolve: () => void; reject: (error: Error) => void }[] = [];
  kept: ReadonlySet<Digest> = new Set();

  prepare(models: readonly Digest[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.loads.push({ models, resolve, reject });
    });
  }
  async retireAllBut(keep: ReadonlySet<Digest>): Promise<void> {
    this.kept = keep;
  }
}

describe('desired state', () => {
  let world: World;
  let pool: HeldPool;
  let follower: DesiredFollower;
  beforeEach(async () => {
    world = await World.open();
    pool = new HeldPool();
    follower = new DesiredFollower(world.endpoint, world.store, pool, pino({ level: 'silent' }));
    follower.start(5);
  });
  afterEach(async () => {
    await follower.stop();
    await world.close();
  });
  const loads = (count: number) => until(`${count} loads began`, () => pool.loads.length >= count);

  it('lets a newer state overtake one that is still loading', async () => {
    await world.deploy({ model: digest('1') });
    await loads(1);
    pool.loads[0]!.resolve();
    await until('the first is served', () => follower.table.generation === 1);

    await world.deploy({ model: digest('1'), weight: 90 }, { name: 'candidate', model: digest('2'), weight: 10 });
    await loads(2);
    await world.deploy({ model: digest('1') });
    await loads(3);
    pool.loads[2]!.resolve();
    await until('the third is served', () => follower.table.generation === 3);
    pool.loads[1]!.resolve();
    await until('the overtaken candidate is unloaded', () => !pool.kept.has(digest('2')));
    assert.equal(follower.table.generation, 3);
    assert.deepEqual([...pool.kept], [digest('1')]);
  });

  it('keeps the served models and those that are coming', async () => {
    await world.deploy({ model: digest('1') });
    await loads(1);
    pool.loads[0]!.resolve();
    await until('the first is served', () => follower.table.generation === 1);
    await world.deploy({ model: digest('2') });
    await loads(2);
    pool.loads[1]!.reject(new ModelUnavailable(digest('2'), new Error('the store is away')));
    await until('the failure is reported', () => follower.error?.model === digest('2'));
    assert.equal(follower.error?.mayPass, true);
    assert.deepEqual([...pool.kept], [digest('1'), digest('2')]);
    await loads(3);
    pool.loads[2]!.resolve();
    await until('the second is served after all', () => follower.table.generation === 2);
    assert.equal(follower.error, undefined);
    await until('the first is unloaded', () => !pool.kept.has(digest('1')));
  });

  it('gives a model that kills its process three chances, one that does not load a single one', async () => {
    await world.deploy({ model: digest('1') });
    for (const attempt of [1, 2, 3]) {
      await loads(attempt);
      pool.loads[attempt - 1]!.reject(
        new ModelUnavailable(digest('1'), new ServingError('InferenceCrashed', `crash ${attempt}`)),
      );
    }
    await until('the last crash is reported', () => follower.error?.message === 'crash 3');
    assert.equal(follower.error?.mayPass, false);
    await world.deploy({ model: digest('2') });
    await loads(4);
    assert.deepEqual(pool.loads[3]!.models, [digest('2')], 'no fourth chance');
    pool.loads[3]!.reject(new ModelUnavailable(digest('2'), new ServingError('ModelNotServable', 'broken')));
    await until('it is reported', () => follower.error?.message === 'broken');
    await world.deploy({ model: digest('3') });
    await loads(5);
    assert.deepEqual(pool.loads[4]!.models, [digest('3')]);
    pool.loads[4]!.resolve();
    await until('the good one is served', () => follower.table.generation === 3);
  });
});
