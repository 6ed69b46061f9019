import assert from 'node:assert/strict';
import type { Client } from '@temporalio/client';
import { createCycleActivities } from '../../src/activities/cycle.ts';
import { createDataActivities } from '../../src/activities/data.ts';
import { createEndpointActivities } from '../../src/activities/endpoint.ts';
import { createLoopActivities } from '../../src/activities/loop.ts';
import { createTrainActivities } from '../../src/activities/train.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { refNames } from '../../src/contracts/names.ts';
import { StoreUnavailable } from '../../src/store/errors.ts';
import type { Store } from '../../src/store/types.ts';
import { constantModel } from '../serving/models.ts';
import { failure, House, rows, run } from './house.ts';

/** A move of this ref is the last thing that the worker does: it dies before it happens, or before it hears of it. */
function dying(store: Store, atRef: string, when: 'before' | 'after'): Store {
  let isDead = false;
  const alive = (): void => {
    if (isDead) throw new StoreUnavailable('EIO', 'reach', 'the store', undefined);
  };
  const move = async <T>(name: string, write: () => Promise<T>): Promise<T> => {
    const isLast = name === atRef;
    isDead = isLast && when === 'before';
    alive();
    const moved = await write();
    isDead = isLast;
    alive();
    return moved;
  };
  return {
    ...store,
    refs: {
      async read(...input) {
        alive();
        return await store.refs.read(...input);
      },
      async *history(...input) {
        alive();
        yield* store.refs.history(...input);
      },
      list: (prefix) => store.refs.list(prefix),
      compareAndSet: (...input) => move(input[0], () => store.refs.compareAndSet(...input)),
      append: (...input) => move(input[0], () => store.refs.append(...input)),
    },
  };
}

describe('a worker that dies around an effect', () => {
  let house: House;
  beforeEach(async () => {
    house = await House.open();
  });
  afterEach(() => house.close());

  /** Every effect of every activity: what runs it, and the logs that it grows by one entry, in this order. */
  const effects: Record<string, () => Promise<{ logs: string[]; act: (store: Store) => Promise<unknown> }>> = {
    acceptData: async () => {
      await house.deliver(...rows(0, 20));
      const plan = await house.plan(await house.apply());
      const { dataset } = await run(createDataActivities({ store: house.store, ...house.programs }).snapshotData, {
        plan,
      });
      const input = { plan, dataset, by: 'goto3', reason: 'checked' };
      const act = (store: Store) => run(createDataActivities({ store, ...house.programs }).acceptData, input);
      return { logs: [refNames.dataset('spam')], act };
    },
    prepareTraining: async () => {
      await house.deliver(...rows(0, 20));
      const { plan, dataset } = await house.snapshotAndAccept(await house.apply(), 2);
      // Its snapshot has a pin already.
      const input = { plan: { ...plan, n: 3 }, dataset };
      const act = (store: Store) => run(createTrainActivities({ store }).prepareTraining, input);
      return { logs: [refNames.pin('spam', 3)], act };
    },
    registerVersion: async () => {
      const plan = await house.plan(await house.apply());
      const candidate = await house.model(constantModel(0.5));
      const input = { plan, candidate, verdict: candidate, by: 'ann', reason: 'good', byPerson: true };
      const act = (store: Store) => run(cycleOf(store).registerVersion, input);
      return { logs: [refNames.versions('spam-filter'), refNames.anchor('spam-filter')], act };
    },
    crownChampion: async () => {
      const plan = await house.plan(await house.apply());
      const input = { plan, candidate: await house.model(constantModel(0.5)), by: 'gate', reason: 'good' };
      const act = (store: Store) => run(cycleOf(store).crownChampion, input);
      return { logs: [refNames.champion('spam-filter')], act };
    },
    openCycle: async () => {
      const specDigest = await house.apply();
      const input = { loop: 'spam', expected: null, specDigest, operation: 'run/open/0', reason: 'new', by: 'trigger' };
      return { logs: [refNames.cycles('spam')], act: (store) => run(loopOf(store).openCycle, input) };
    },
    reportLostCycle: async () => {
      const input = { loop: 'spam', n: 1, reason: 'new rows', startedAtMs: 1, detail: 'terminated' };
      return { logs: [refNames.reports('spam')], act: (store) => run(loopOf(store).reportLostCycle, input) };
    },
    recordFuse: async () => {
      const input = { loop: 'spam', expected: null, consecutiveFailures: 1, paused: null, operation: 'fuse/1' };
      return { logs: [refNames.fuse('spam')], act: (store) => run(loopOf(store).recordFuse, input) };
    },
    setDesired: async () => {
      const state = {
        schema: 'goto3/desired/v1' as const,
        endpoint: 'mail',
        generation: 1,
        variants: [],
        frozen: null,
      };
      const input = { endpoint: 'mail', expected: null, state, operation: 'generation/1', by: 'goto3', reason: 'test' };
      return { logs: [refNames.desired('mail')], act: (store) => run(endpointOf(store).setDesired, input) };
    },
    recordDeployment: async () => {
      const model = await house.model(constantModel(0.5));
      const input = {
        ...{
          endpoint: 'mail',
          operation: 'cycle/spam/1/deployed',
          by: 'cycle/spam/1',
          model,
          modelName: 'spam-filter',
        },
        ...{ outcome: 'deployed' as const, reason: 'held', steps: [] },
        champion: { expected: null, next: model },
      };
      const act = (store: Store) => run(endpointOf(store).recordDeployment, input);
      return { logs: [refNames.deployments('mail'), refNames.champion('spam-filter')], act };
    },
    bar: async () => {
      const model: Digest = await house.model(constantModel(0.5));
      const input = { endpoint: 'mail', model, by: 'canary', reason: 'slow', operation: 'r1/bar' };
      return { logs: [refNames.barred('mail')], act: (store) => run(endpointOf(store).bar, input) };
    },
  };
  // None of these asks the server.
  const noServer = undefined as unknown as Client;
  const cycleOf = (store: Store) => createCycleActivities({ store, client: noServer });
  const loopOf = (store: Store) => createLoopActivities({ store, client: noServer });
  const endpointOf = (store: Store) => createEndpointActivities({ store, pollMs: 20 });

  for (const [name, effect] of Object.entries(effects))
    it(`leaves ${name} to the next attempt, which has one effect`, async () => {
      const { logs, act } = await effect();
      for (const log of logs)
        for (const when of ['before', 'after'] as const)
          await assert.rejects(act(dying(house.store, log, when)), failure('StoreUnavailable'), `${when} ${log}`);
      await act(house.store);
      for (const log of logs) assert.equal((await house.store.refs.read(log))?.entry, 1, log);
    });
});
