import assert from 'node:assert/strict';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { createEndpointActivities } from '../../src/activities/endpoint.ts';
import type { CanaryObservation, CanaryResult, EndpointActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import type { DesiredState, Variant } from '../../src/contracts/endpoint.ts';
import type { RefPosition } from '../../src/contracts/messages.ts';
import { refNames } from '../../src/contracts/names.ts';
import { type RunningEndpoint, startEndpoint } from '../../src/serving/endpoint/main.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { eventually } from '../jobs/eventually.ts';
import { invoke } from '../serving/client.ts';
import { constantModel, nanModel } from '../serving/models.ts';
import { failure, House, quiet, run } from './house.ts';

const plan = {
  canary: [50],
  atLeastRequests: 30,
  atMostMs: 20_000,
  onTimeout: 'rollback',
  errorRateMargin: 0.01,
  latencyP99Relative: 5,
  probation: null,
} as const;

describe('endpoint activities', () => {
  let house: House;
  let endpoint: EndpointActivities;
  let current: Digest;
  beforeEach(async () => {
    house = await House.open();
    endpoint = createEndpointActivities({ store: house.store, pollMs: 20 });
    current = await house.model(constantModel(0.1));
  });
  afterEach(() => house.close());

  const stateOf = (generation: number, variants: [name: string, model: Digest, weight: number][]): DesiredState => ({
    schema: 'goto3/desired/v1',
    endpoint: 'mail',
    generation,
    variants: variants.map(([name, model, weight]): Variant => ({ name, model, weight, shadow: false })),
    frozen: null,
  });
  const setDesired = async (expected: RefPosition | null, state: DesiredState): Promise<RefPosition> =>
    await run(endpoint.setDesired, {
      ...{ endpoint: 'mail', expected, state, by: 'goto3', reason: 'test' },
      operation: `endpoint/mail/generation/${state.generation}`,
    });
  /** A person at the store, past the workflow. */
  const byHand = (content: string) =>
    house.store.blobs.put(Buffer.from(content)).then((digest) => house.point(refNames.desired('mail'), digest));

  describe('the desired state', () => {
    it('moves once, and a late worker loses', async () => {
      const first = stateOf(1, [['current', current, 100]]);
      const position = await setDesired(null, first);
      assert.deepEqual(await setDesired(null, first), position, 'a lost reply');
      const second = await setDesired(position, stateOf(2, [['current', current, 100]]));
      assert.equal(second.entry, 2);
      await assert.rejects(
        setDesired(position, stateOf(2, [])),
        failure('RefConflict', 'ref endpoints/mail/desired', 'endpoint/mail/generation/2'),
      );
    });

    it('is loaded with what is barred, and with what the registry says about the models', async () => {
      assert.deepEqual(await run(endpoint.loadEndpoint, { endpoint: 'mail' }), {
        ...{ desired: null, moved: null, state: null, barred: [], known: [] },
      });
      await house.point(refNames.versions('spam-filter'), await house.model(constantModel(0.9)));
      await house.point(refNames.versions('spam-filter'), current);
      const state = stateOf(3, [['current', current, 100]]);
      const desired = await setDesired(null, state);
      const bar = { endpoint: 'mail', model: current, by: 'canary', reason: 'slow', operation: 'r1/bar' };
      await run(endpoint.bar, bar);
      await run(endpoint.bar, bar);
      const { moved, ...loaded } = await run(endpoint.loadEndpoint, { endpoint: 'mail' });
      assert.deepEqual([moved?.by, moved?.reason], ['goto3', 'test']);
      assert.deepEqual(loaded, {
        ...{ desired, state, barred: [current] },
        known: [{ model: current, modelName: 'spam-filter', version: 2, loop: 'spam' }],
      });
    });

    it('is the newest one that replicas can follow when a hand slipped', async () => {
      const state = stateOf(3, [['current', current, 100]]);
      await setDesired(null, state);
      await byHand('{"generation": 4}');
      await house.point(refNames.desired('mail'), `sha256:${'0'.repeat(64)}`);
      const loaded = await run(endpoint.loadEndpoint, { endpoint: 'mail' });
      assert.deepEqual([loaded.desired?.entry, loaded.state], [3, state]);
    });

    it('is watched: a hand that moves it is noticed, whatever it wrote', async () => {
      const expected = await setDesired(null, stateOf(1, [['current', current, 100]]));
      const watching = run(endpoint.watchDesired, { endpoint: 'mail', expected });
      await byHand('not even JSON');
      const seen = await watching;
      assert.deepEqual([seen.desired.entry, seen.state, seen.by], [2, null, 'tester']);
    });

    it('is not watched by a worker that leaves, and cancelling ends a watch', async () => {
      const expected = await setDesired(null, stateOf(1, []));
      const leaving = new AbortController();
      const leaves = createEndpointActivities({ store: house.store, pollMs: 20, leaving: leaving.signal });
      const left = assert.rejects(
        run(leaves.watchDesired, { endpoint: 'mail', expected }),
        failure('NotYet', 'leaves'),
      );
      leaving.abort();
      await left;
      const env = new MockActivityEnvironment({}, { logger: quiet });
      const cancelled = assert.rejects(env.run(endpoint.watchDesired, { endpoint: 'mail', expected }), /CANCELLED/);
      env.cancel();
      await cancelled;
    });
  });

  describe('with a real replica', () => {
    let replica: RunningEndpoint | undefined;
    afterEach(async () => {
      await replica?.close();
      replica = undefined;
    });
    const start = async (name = 'r1'): Promise<RunningEndpoint> => {
      replica = await startEndpoint({
        endpoint: 'mail',
        replica: name,
        storeUrl: house.store.url,
        port: 0,
        cacheFolder: join(house.folder, `cache-${name}`),
        log: pino({ level: 'silent' }),
        limits: { desiredPollMs: 20, flushEveryMs: 20 },
      });
      return replica;
    };
    const served = (generation: number, withinMs = 10_000) =>
      run(endpoint.awaitGeneration, { endpoint: 'mail', generation, withinMs });

    it('a generation counts when it is really served, and why it is not is told', async () => {
      assert.deepEqual(await served(1, 50), { serving: false, failed: false, detail: 'no replica is registered' });
      const url = await start();
      const one = await setDesired(null, stateOf(1, [['current', current, 100]]));
      assert.deepEqual(await served(1), { serving: true, failed: false, detail: '1 of 1 replicas serve generation 1' });
      assert.deepEqual(await served(2, 50), { serving: false, failed: false, detail: 'r1 serve another generation' });

      const rotten = await house.model(Buffer.from('rotten'));
      await setDesired(one, stateOf(2, [['current', rotten, 100]]));
      const { serving, failed, detail } = await served(2);
      assert.deepEqual([serving, failed], [false, true]);
      assert.match(detail, /^r1: /);
      assert.equal((await invoke(url, { x: 1, y: 1 })).status, 200, 'the version before serves on');
      await url.close();
      assert.deepEqual(await served(2, 50), { serving: false, failed: false, detail: 'no replica is registered' });
    });

    /** Callers at the endpoint until the observation has ended. */
    const underTraffic = async (observed: Promise<CanaryResult>, url: RunningEndpoint, x: number) => {
      let over = false;
      const ended = observed.finally(() => {
        over = true;
      });
      for (let i = 0; !over; i += 8)
        await Promise.all(
          Array.from({ length: 8 }, (_, j) =>
            invoke(url, { x, y: 0 }, { 'x-amzn-sagemaker-inference-id': `request-${i + j}` }),
          ),
        );
      return await ended;
    };
    const canary = async (candidate: Digest): Promise<{ url: RunningEndpoint; input: CanaryObservation }> => {
      const url = await start();
      const expected = await setDesired(
        null,
        stateOf(7, [
          ['current', current, 50],
          ['candidate', candidate, 50],
        ]),
      );
      assert.ok((await served(7)).serving);
      const input = {
        ...{ endpoint: 'mail', generation: 7, expected, candidate, current, weight: 50, plan },
        sinceMs: Date.now(),
      };
      return { url, input: { ...input, plan: { ...plan, canary: [50] } } };
    };

    it('a good canary advances on evidence', async () => {
      const { url, input } = await canary(await house.model(constantModel(0.9)));
      const { decision, step } = await underTraffic(run(endpoint.observeCanary, input), url, 1);
      assert.equal(decision, 'advance');
      assert.ok(step.candidateRequests >= 30 && step.stableRequests > 0);
      assert.deepEqual([step.weight, step.candidateErrors, step.stableErrors, step.backgroundShare], [50, 0, 0, 0]);
    });

    it('one that fails is rolled back, with the counts', async () => {
      const { url, input } = await canary(await house.model(nanModel()));
      const { decision, reason, step } = await underTraffic(run(endpoint.observeCanary, input), url, -1);
      assert.equal(decision, 'rollback');
      assert.match(reason, /requests failed on the candidate/);
      assert.ok(step.candidateErrors > 5 && step.stableErrors === 0);
    });

    it('one that does not load is rolled back without a request', async () => {
      await start();
      const rotten = await house.model(Buffer.from('rotten'));
      const expected = await setDesired(
        null,
        stateOf(1, [
          ['current', current, 95],
          ['candidate', rotten, 5],
        ]),
      );
      const input = { endpoint: 'mail', generation: 1, expected, candidate: rotten, current, weight: 5 };
      const { decision, reason } = await run(endpoint.observeCanary, {
        ...input,
        plan: { ...plan, canary: [5] },
        sinceMs: Date.now(),
      });
      assert.equal(decision, 'rollback');
      assert.match(reason, /it does not load: r1: /);
    });

    it('one whose blob cannot be read just now is held, not rolled back', async () => {
      await start();
      const unread: Digest = `sha256:${'0'.repeat(64)}`;
      const expected = await setDesired(
        null,
        stateOf(1, [
          ['current', current, 95],
          ['candidate', unread, 5],
        ]),
      );
      const { decision, reason } = await run(endpoint.observeCanary, {
        ...{ endpoint: 'mail', generation: 1, expected, candidate: unread, current, weight: 5, sinceMs: Date.now() },
        plan: { ...plan, canary: [5], atMostMs: 1_500 },
      });
      assert.equal(decision, 'timeout');
      assert.match(reason, /not every replica serves it: r1: the store has no blob/);
    });

    it('without traffic it holds until the time is over', async () => {
      const { input } = await canary(await house.model(constantModel(0.9)));
      const { decision, reason } = await run(endpoint.observeCanary, {
        ...input,
        plan: { ...input.plan, atMostMs: 300 },
      });
      assert.equal(decision, 'timeout');
      assert.match(reason, /0\.3 s have passed: The candidate has had no traffic/);
    });

    it('ends when a hand moves the desired state', async () => {
      const { input } = await canary(await house.model(constantModel(0.9)));
      const observed = run(endpoint.observeCanary, input);
      await byHand('{}');
      assert.equal((await observed).decision, 'external');
    });

    it('the next attempt counts from where the first one began, and nothing twice', async () => {
      const candidate = await house.model(constantModel(0.9));
      const { input } = await canary(candidate);
      const many = { ...input, plan: { ...input.plan, atLeastRequests: 60 } };
      const records = (from: number, to: number, model: Digest) =>
        Array.from({ length: to - from }, (_, i) => ({
          ...{ inferenceId: `r-${from + i}`, generation: 7, model, variant: 'v', timeMs: 1_000 },
        }));
      const first = new MockActivityEnvironment({}, { logger: quiet });
      let details: unknown;
      first.on('heartbeat', (said: unknown) => {
        details = said;
      });
      const interrupted = assert.rejects(first.run(endpoint.observeCanary, many), /CANCELLED/);
      await eventually('the first attempt has begun to count', () => details !== undefined);
      await house.answered([...records(0, 40, candidate), ...records(100, 140, current)], 'r9');
      await eventually('the first attempt has counted', () => JSON.stringify(details).includes('"candidate":40'));
      first.cancel();
      await interrupted;

      // A replica whose append lost its reply writes the same records again.
      await house.answered(records(0, 40, candidate), 'r9');
      await house.answered([...records(40, 70, candidate), ...records(140, 170, current)], 'r9');
      const second = new MockActivityEnvironment({ heartbeatDetails: details }, { logger: quiet });
      const { decision, step } = (await second.run(endpoint.observeCanary, many)) as CanaryResult;
      assert.deepEqual([decision, step.candidateRequests, step.stableRequests], ['advance', 70, 70]);
    });
  });

  describe('a deployment', () => {
    const deployed = (model: Digest, reason: string) => ({
      ...{ endpoint: 'mail', operation: 'cycle/spam/3/deployed', by: 'cycle/spam/3', model, modelName: 'spam-filter' },
      ...{ outcome: 'deployed' as const, reason, steps: [] },
    });

    it('is recorded once and moves the champion once', async () => {
      const input = { ...deployed(current, 'held'), champion: { expected: null, next: current } };
      const first = await run(endpoint.recordDeployment, input);
      assert.deepEqual(await run(endpoint.recordDeployment, input), first);
      const champion = await house.store.refs.read(refNames.champion('spam-filter'));
      assert.deepEqual([champion?.entry, champion?.digest], [1, current]);
      assert.deepEqual((await run(endpoint.readChampion, { model: 'spam-filter' })).champion, first.champion);
      const deployments = await house.store.refs.read(refNames.deployments('mail'));
      assert.deepEqual([deployments?.entry, deployments?.digest], [1, first.deployment]);
      const manifest = await getManifest(house.store, first.deployment, 'Deployment');
      assert.deepEqual([manifest.parents, manifest.outcome, manifest.by], [[current], 'deployed', 'cycle/spam/3']);
    });

    it('that was recorded before its worker died moves the champion when it is run again', async () => {
      const input = deployed(current, 'ok');
      const before = await run(endpoint.recordDeployment, { ...input, champion: null });
      const after = await run(endpoint.recordDeployment, { ...input, champion: { expected: null, next: current } });
      assert.equal(after.deployment, before.deployment);
      assert.equal(after.champion?.digest, current);
    });

    it('of a late worker does not touch the champion', async () => {
      await house.crown(await house.model(constantModel(0.7)));
      await assert.rejects(
        run(endpoint.recordDeployment, {
          ...deployed(current, 'late'),
          champion: { expected: null, next: current },
        }),
        failure('RefConflict', 'models/spam-filter/champion'),
      );
    });
  });
});
