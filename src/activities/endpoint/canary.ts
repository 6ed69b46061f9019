import type { CanaryObservation, CanaryResult } from '../../contracts/activities.ts';
import { refNames } from '../../contracts/names.ts';
import { decideCanary } from '../../stats/canary.ts';
import type { Store } from '../../store/types.ts';
import { pause } from '../pause.ts';
import { StepEvidence } from './evidence.ts';
import { generationServed, replicasOf } from './replicas.ts';

/** A harmless candidate is rolled back in at most this share of its steps, however often one looks. */
export const canaryAlpha = 0.01;

/** What an attempt leaves for the next one. */
interface Observed {
  /** Capture cursor at which the first attempt began to count. */
  from: string;
}

/** Gathers evidence under the step's weights until it decides, the time is over, or the ref moved by itself. */
export async function observeCanaryStep(
  { store, pollMs, leaving }: { store: Store; pollMs: number; leaving: AbortSignal | undefined },
  input: CanaryObservation,
  say: (details: unknown) => void,
  before: unknown,
  scheduledAtMs: number,
): Promise<CanaryResult> {
  const { endpoint, generation, candidate, current, weight, plan, sinceMs } = input;
  const evidence = new StepEvidence(generation, { candidate, current });
  const from = (before as Observed | undefined)?.from ?? (await store.captures.tail(endpoint));
  // Both times are the server's; from here on monotonic time counts. A machine whose clock is wrong, or jumps, must not
  // end a step, since that bars an innocent version.
  const deadline = performance.now() + plan.atMostMs - Math.max(0, scheduledAtMs - sinceMs);
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

  let cursor = from;
  let served = false;
  let notServed = '';
  while (true) {
    if ((await store.refs.read(refNames.desired(endpoint)))?.entry !== input.expected.entry)
      return result('external', 'the desired state was changed by hand');
    if (!served) {
      const state = generationServed(await replicasOf(store, endpoint), generation);
      if (state.failed) return result('rollback', `it does not load: ${state.detail}`);
      served = state.serving;
      notServed = served ? '' : `; not every replica serves it: ${state.detail}`;
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
    if (performance.now() >= deadline)
      return result('timeout', `${plan.atMostMs / 1_000} s have passed: ${reason}${notServed}`);
    await pause(pollMs, leaving);
  }
}
