import { Context, sleep } from '@temporalio/activity';
import type { CanaryObservation, CanaryResult, EndpointActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { DesiredState } from '../contracts/endpoint.ts';
import { refNames } from '../contracts/names.ts';
import { decideCanary } from '../stats/canary.ts';
import { getJson, putJson, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { StepEvidence } from './endpoint/evidence.ts';
import { dataClock, judgeProbation } from './endpoint/probation.ts';
import { generationServed, replicasOf } from './endpoint/replicas.ts';
import { notYet } from './failures.ts';
import { pulse } from './pulse.ts';
import { appendRef, asRef, positionOf } from './refs.ts';

export interface EndpointDeps {
  store: Store;
  /** How often evidence, replicas and refs are read. */
  pollMs: number;
}

/** A harmless candidate is rolled back in at most this share of its steps, however often one looks. */
const canaryAlpha = 0.01;
/** A watch that saw nothing begins anew after this long; no history is written for it. */
const watchForMs = 300_000;
/** Labels come with data, so probation looks again this often. */
const probationPollMs = 2_000;

export function createEndpointActivities({ store, pollMs }: EndpointDeps): EndpointActivities {
  return {
    async loadEndpoint({ endpoint }) {
      const ref = await store.refs.read(refNames.desired(endpoint));
      const barred: Digest[] = [];
      for await (const entry of store.refs.history(refNames.barred(endpoint))) barred.push(entry.digest);
      return { desired: positionOf(ref), state: ref ? await getJson(store, DesiredState, ref.digest) : null, barred };
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
      const deadline = Date.now() + withinMs;
      while (true) {
        const { serving, failed, detail } = generationServed(await replicasOf(store, endpoint), generation);
        if (serving || failed || Date.now() >= deadline) return { serving, detail };
        await sleep(pollMs);
      }
    },

    async observeCanary(input) {
      return await pulse(async (say) => await observe(input, say));
    },

    async watchDesired({ endpoint, expected }) {
      return await pulse(async () => {
        const until = Date.now() + watchForMs;
        while (Date.now() < until) {
          const ref = await store.refs.read(refNames.desired(endpoint));
          if (ref && ref.entry !== expected.entry)
            return {
              desired: positionOf(ref)!,
              state: await getJson(store, DesiredState, ref.digest),
              by: ref.by,
              reason: ref.reason,
            };
          await sleep(Math.max(pollMs, 500));
        }
        throw notYet('nobody moved the desired state by hand', 1);
      });
    },

    async observeProbation(input) {
      const began = (Context.current().info.heartbeatDetails as { dataTime?: string } | undefined)?.dataTime;
      const now = await dataClock(store, input.loop);
      const dataTime = began ?? now;
      Context.current().heartbeat({ dataTime });
      const { decision, reason } = await judgeProbation(store, input);
      if (decision === 'rollback') return { outcome: 'rollback', reason };
      if (Date.parse(now) >= Date.parse(dataTime) + input.forMs) return { outcome: 'passed', reason };
      throw notYet(reason, probationPollMs);
    },

    async recordDeployment({ endpoint, request, outcome, reason, steps, champion }) {
      const deployment = await putManifest(store, {
        kind: 'Deployment',
        parents: [request.model],
        createdAt: new Date().toISOString(),
        endpoint,
        model: request.model,
        outcome,
        reason: reason.slice(0, 2_000),
        steps,
      });
      const operation = `${request.requestId}/${outcome}`;
      const { digest } = await appendRef(store, refNames.deployments(endpoint), deployment, {
        operation,
        by: request.by,
        reason: reason.slice(0, 500),
      });
      if (!champion) return { deployment: digest, champion: null };
      const name = refNames.champion(request.modelName);
      const moved = await store.refs.compareAndSet(name, asRef(name, champion.expected), champion.next, {
        operation: `${operation}/champion`,
        by: request.by,
        reason: reason.slice(0, 500),
      });
      return { deployment: digest, champion: positionOf(moved) };
    },

    async bar({ endpoint, model, by, reason, operation }) {
      await appendRef(store, refNames.barred(endpoint), model, { operation, by, reason: reason.slice(0, 500) });
    },
  };

  async function observe(input: CanaryObservation, say: (details: unknown) => void): Promise<CanaryResult> {
    const { endpoint, generation, candidate, current, weight, plan, sinceMs } = input;
    const evidence = new StepEvidence(generation, { candidate, current });
    // A next attempt counts from where the first one began.
    const from =
      (Context.current().info.heartbeatDetails as { from?: string } | undefined)?.from ??
      (await store.captures.tail(endpoint));
    let cursor = from;
    const deadline = sinceMs + plan.atMostMs;
    const result = (decision: CanaryResult['decision'], reason: string): CanaryResult => ({
      decision,
      reason,
      step: {
        weight,
        startedAt: new Date(sinceMs).toISOString(),
        endedAt: new Date().toISOString(),
        candidateRequests: evidence.candidate.requests,
        stableRequests: evidence.stable.requests,
        backgroundShare: evidence.backgroundShare,
        candidateErrors: evidence.candidate.errors,
        stableErrors: evidence.stable.errors,
        decision: `${decision}: ${reason}`.slice(0, 1_000),
      },
    });

    let served = false;
    while (true) {
      if ((await store.refs.read(refNames.desired(endpoint)))?.entry !== input.expected.entry)
        return result('external', 'the desired state was changed by hand');
      if (!served) {
        const state = generationServed(await replicasOf(store, endpoint), generation);
        if (state.failed) return result('rollback', `it does not load: ${state.detail}`);
        served = state.serving;
      }
      cursor = await evidence.readOn(store, endpoint, cursor);
      const { decision, reason } = decideCanary(evidence.evidence, {
        atLeastRequests: plan.atLeastRequests,
        errorRateMargin: plan.errorRateMargin,
        latencyP99Relative: plan.latencyP99Relative,
        alpha: canaryAlpha,
      });
      say({ from, weight, candidate: evidence.candidate.requests, current: evidence.stable.requests, reason });
      // A step counts only when every replica serves it; harm counts at once.
      if (decision === 'rollback' || (decision === 'advance' && served)) return result(decision, reason);
      if (Date.now() >= deadline) return result('timeout', `${plan.atMostMs / 1_000} s have passed: ${reason}`);
      await sleep(pollMs);
    }
  }
}
