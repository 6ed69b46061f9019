import assert from 'node:assert/strict';
import type { Client } from '@temporalio/client';
import { createCycleActivities } from '../../src/activities/cycle.ts';
import type { CycleActivities, CyclePlan } from '../../src/contracts/activities.ts';
import { Model } from '../../src/contracts/manifests.ts';
import { refNames } from '../../src/contracts/names.ts';
import { getManifest, putManifest } from '../../src/store/manifests.ts';
import { constantModel } from '../serving/models.ts';
import { failure, House, run } from './house.ts';

describe('cycle activities', () => {
  let house: House;
  let cycle: CycleActivities;
  beforeEach(async () => {
    house = await House.open();
    const { store } = house;
    // What needs a server is tested with one, in temporal.test.ts.
    cycle = createCycleActivities({ store, client: undefined as unknown as Client });
  });
  afterEach(() => house.close());

  describe('the plan', () => {
    it('of a first cycle starts from scratch, with the spec in plain numbers', async () => {
      const plan = await house.plan(
        await house.apply({
          quantize: { int8: 'dynamic', margin: '1pt' },
          approval: { by: ['ml-oncall'], notBy: 'author', within: '24h' },
          rollout: { endpoint: 'mail', canary: ['5%'], probation: { for: '7d', rollbackOn: { accuracy: '-3pt' } } },
        }),
      );
      assert.deepEqual([plan.dataset, plan.champion, plan.anchor, plan.warmStart], [null, null, null, null]);
      assert.deepEqual(
        [plan.model, plan.endpoint, plan.quantizeMargin, plan.holdoutNewest],
        ['spam-filter', 'mail', 0.01, 1_000],
      );
      assert.deepEqual(plan.approval, { by: ['ml-oncall'], notBy: 'ann', withinMs: 86_400_000, onTimeout: 'reject' });
      assert.deepEqual(plan.rollout?.canary, [5]);
      assert.deepEqual(plan.rollout?.probation, { forMs: 7 * 86_400_000, accuracyLoss: 0.03 });
      assert.equal(plan.maxResources.memoryBytes, 4 * plan.resources.memoryBytes);
    });

    it('carries the refs as they were: the fence of all that the cycle will write', async () => {
      const spec = await house.apply();
      const champion = await house.model(constantModel(0.5));
      await house.crown(champion);
      await house.point(refNames.anchor('spam-filter'), champion);
      const plan = await house.plan(spec, 2);
      assert.deepEqual(plan.champion, { entry: 1, digest: champion, operation: 'test/1' });
      assert.equal(plan.anchor?.digest, champion);
      const without = await house.apply({
        gate: { against: ['champion'], metrics: [{ metric: 'accuracy', floor: 0.5 }] },
      });
      assert.equal((await house.plan(without, 2)).anchor, null);
    });

    it('starts warm from the champion, from its float weights when it ships as int8, and fresh every k-th time', async () => {
      const float = await house.model(constantModel(0.5));
      const manifest = await getManifest(house.store, float, 'Model');
      const int8 = await putManifest(
        house.store,
        Model.parse({ ...manifest, precision: 'int8', run: float, parents: [float] }),
      );
      await house.crown(int8);
      const spec = await house.apply({ base: { freshEvery: 3 } });
      const warm = async (n: number) => (await house.plan(spec, n)).warmStart;
      assert.deepEqual([await warm(2), await warm(3), await warm(4), await warm(5)], [float, float, null, float]);
      assert.equal((await house.plan(await house.apply({ base: { warmStart: 'never' } }), 2)).warmStart, null);
      await house.crown(float);
      assert.equal(await warm(2), float);
    });

    it('looks at more of the hold-out after each inconclusive verdict', async () => {
      const spec = await house.apply();
      assert.deepEqual(
        [(await house.plan(spec, 1, 0)).holdoutNewest, (await house.plan(spec, 1, 2)).holdoutNewest],
        [1_000, 3_000],
      );
    });
  });

  describe('registry', () => {
    const register = async (plan: CyclePlan, byPerson = false) => {
      const candidate = await house.model(constantModel(0.5));
      const input = {
        plan,
        candidate,
        verdict: candidate,
        by: byPerson ? 'ann' : 'gate',
        reason: 'it holds',
        byPerson,
      };
      return { input, version: (await run(cycle.registerVersion, input)).version };
    };

    it('numbers versions, once each', async () => {
      const spec = await house.apply();
      const first = await register(await house.plan(spec, 1));
      const second = await register(await house.plan(spec, 2));
      assert.deepEqual([first.version, second.version], [1, 2]);
      assert.deepEqual(await run(cycle.registerVersion, first.input), { version: 1 }, 'also when it comes again later');
      assert.equal((await house.store.refs.read(refNames.versions('spam-filter')))?.entry, 2);
      assert.equal(await house.store.refs.read(refNames.anchor('spam-filter')), undefined);
    });

    it('what a person approved is the anchor', async () => {
      const { input } = await register(await house.plan(await house.apply()), true);
      await run(cycle.registerVersion, input);
      const anchor = await house.store.refs.read(refNames.anchor('spam-filter'));
      assert.deepEqual([anchor?.entry, anchor?.digest, anchor?.by], [1, input.candidate, 'ann']);
    });

    it('crowns once, and never over a champion that the cycle did not know', async () => {
      const spec = await house.apply();
      const plan = await house.plan(spec);
      const candidate = await house.model(constantModel(0.5));
      const input = { plan, candidate, by: 'gate', reason: 'it holds' };
      await run(cycle.crownChampion, input);
      await run(cycle.crownChampion, input);
      const champion = await house.store.refs.read(refNames.champion('spam-filter'));
      assert.deepEqual([champion?.entry, champion?.digest], [1, candidate]);
      await assert.rejects(
        run(cycle.crownChampion, { ...input, plan: { ...plan, n: 2 } }),
        failure('RefConflict', 'models/spam-filter/champion'),
      );
    });
  });
});
