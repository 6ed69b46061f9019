import { activityInfo } from '@temporalio/activity';
import type { EndpointActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { DesiredState } from '../contracts/endpoint.ts';
import { refNames } from '../contracts/names.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../store/errors.ts';
import { getJson, getManifest, putJson, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { observeCanaryStep } from './endpoint/canary.ts';
import { judgeProbation } from './endpoint/probation.ts';
import { countErrors, type ErrorCounts, tooManyErrors } from './endpoint/probation-errors.ts';
import { generationServed, replicasOf } from './endpoint/replicas.ts';
import { notYet, toPassingFailure } from './failures.ts';
import { pause } from './pause.ts';
import { pulse } from './pulse.ts';
import { asRef, positionOf } from './refs.ts';

export interface EndpointDeps {
  store: Store;
  /** How often evidence, replicas and refs are read. */
  pollMs: number;
  /** Aborted when the worker is asked to leave: watchers end at once. */
  leaving?: AbortSignal;
}

/** A watch that saw nothing begins anew after this long; no history is written for it. */
const watchForMs = 300_000;
/** Labels come with data, so probation looks again this often. */
const probationPollMs = 2_000;

/** What an attempt at probation leaves for the next one. */
interface JudgedBefore {
  /** The dataset that was judged, and what it said: without new labels there is nothing new to say. */
  dataset: Digest | null;
  reason: string;
  errors?: ErrorCounts;
}

export function createEndpointActivities({ store, pollMs, leaving }: EndpointDeps): EndpointActivities {
  return {
    async loadEndpoint({ endpoint }) {
      const ref = await store.refs.read(refNames.desired(endpoint));
      const barred: Digest[] = [];
      for await (const entry of store.refs.history(refNames.barred(endpoint))) barred.push(entry.digest);
      const state = await newestUsable(store, endpoint);
      const models = [...new Set(state?.variants.map(({ model }) => model))];
      const known = await Promise.all(models.map((model) => registered(store, model)));
      return {
        desired: positionOf(ref),
        moved: ref ? { by: ref.by, reason: ref.reason, atMs: Date.parse(ref.time) } : null,
        state,
        barred,
        known: known.filter((model) => model !== null),
      };
    },

    async readChampion({ model }) {
      return { champion: positionOf(await store.refs.read(refNames.champion(model))) };
    },

    async setDesired({ endpoint, expected, state, operation, by, reason }) {
      const name = refNames.desired(endpoint);
      const digest = await putJson(store, DesiredState, state);
      return positionOf(
        await store.refs.compareAndSet(name, asRef(name, expected), digest, { operation, by, reason }),
      )!;
    },

    async awaitGeneration({ endpoint, generation, withinMs }) {
      const deadline = performance.now() + withinMs;
      while (true) {
        const { serving, failed, detail } = generationServed(await replicasOf(store, endpoint), generation);
        if (serving || failed || performance.now() >= deadline) return { serving, failed, detail };
        await pause(pollMs, leaving);
      }
    },

    async observeCanary(input) {
      return await watching(
        async (say, _signal, before) =>
          await observeCanaryStep({ store, pollMs, leaving }, input, say, before, attemptScheduledAtMs()),
      );
    },

    async watchDesired({ endpoint, expected }) {
      return await watching(async () => {
        const until = Date.now() + watchForMs;
        while (Date.now() < until) {
          const ref = await store.refs.read(refNames.desired(endpoint));
          if (ref && ref.entry !== expected.entry) {
            const state = await readDesired(store, ref.digest);
            return { desired: positionOf(ref)!, state, by: ref.by, reason: ref.reason };
          }
          await pause(Math.max(pollMs, 500), leaving);
        }
        throw notYet('nobody moved the desired state by hand', 1);
      });
    },

    async observeProbation(input) {
      return await watching(async (say, _signal, earlier) => {
        const before = earlier as JudgedBefore | undefined;
        const { endpoint, model, errorRateMargin } = input;
        const errors = await countErrors(store, endpoint, model, before?.errors);
        const failing = errorRateMargin === undefined ? undefined : tooManyErrors(errors, errorRateMargin);
        if (failing) return { outcome: 'rollback', reason: failing };
        const dataset = (await store.refs.read(refNames.dataset(input.loop)))?.digest ?? null;
        const isNew = !before || before.dataset === null || before.dataset !== dataset;
        const judged = isNew ? await judgeProbation(store, input) : undefined;
        if (judged && judged.outcome !== 'continue') return { outcome: judged.outcome, reason: judged.reason };
        const reason = judged?.reason ?? before!.reason;
        say({ dataset, reason, errors } satisfies JudgedBefore);
        throw notYet(reason, probationPollMs);
      });
    },

    async recordDeployment({ endpoint, operation, model, modelName, by, outcome, reason, steps, champion }) {
      const deployment = await putManifest(store, {
        kind: 'Deployment',
        parents: [model],
        createdAt: new Date().toISOString(),
        endpoint,
        model,
        outcome,
        by,
        reason: reason.slice(0, 2_000),
        steps,
      });
      const why = { by, reason: reason.slice(0, 500) };
      const { digest } = await store.refs.append(refNames.deployments(endpoint), deployment, { operation, ...why });
      if (!champion) return { deployment: digest, champion: null };
      const name = refNames.champion(modelName);
      const moved = await store.refs.compareAndSet(name, asRef(name, champion.expected), champion.next, {
        operation: `${operation}/champion`,
        ...why,
      });
      return { deployment: digest, champion: positionOf(moved) };
    },

    async bar({ endpoint, model, by, reason, operation }) {
      await store.refs.append(refNames.barred(endpoint), model, { operation, by, reason: reason.slice(0, 500) });
    },
  };
}

/** By the server's clock. */
const attemptScheduledAtMs = (): number => activityInfo().currentAttemptScheduledTimestampMs;

/** What an endpoint watches it watches for ever: what cannot be read now a person may repair. */
const watching: typeof pulse = (work) => pulse(work).catch((error: unknown) => Promise.reject(toPassingFailure(error)));

/** What replicas serve: below a state that they cannot follow, they serve the one before on. */
async function newestUsable(store: Store, endpoint: string): Promise<DesiredState | null> {
  for await (const { digest } of store.refs.history(refNames.desired(endpoint))) {
    const state = await readDesired(store, digest);
    if (state) return state;
  }
  return null;
}

/** Name, version and loop of a model; version 0 for one that was never approved. */
async function registered(
  store: Store,
  model: Digest,
): Promise<{ model: Digest; modelName: string; version: number; loop: string } | null> {
  const manifest = await unlessUnusable(getManifest(store, model, 'Model'));
  if (!manifest) return null;
  const { model: modelName, loop } = manifest;
  for await (const { digest, entry } of store.refs.history(refNames.versions(modelName)))
    if (digest === model) return { model, modelName, version: entry, loop };
  return { model, modelName, version: 0, loop };
}

const readDesired = async (store: Store, digest: Digest): Promise<DesiredState | null> =>
  await unlessUnusable(getJson(store, DesiredState, digest));

/** Null for what no replica can follow either: a hand wrote the ref, and hands slip. */
async function unlessUnusable<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof InvalidInput || error instanceof NotFound || error instanceof CorruptBlob) return null;
    throw error;
  }
}
