import { canaryAlpha } from '../../src/activities/endpoint/canary.ts';
import { type CanaryRules, decideCanary } from '../../src/stats/canary.ts';
import { normalQuantile } from '../../src/stats/distributions.ts';
import { latencyEvidence } from '../../src/stats/latency-evidence.ts';
import { latencyQuantileMs } from '../../src/stats/latency-histogram.ts';
import type { Random } from '../../src/stats/random.ts';
import { type Trials, twoSampleEvidence } from '../../src/stats/sequential.ts';
import { type Counts, type Ended, noCounts, requestsPerMinute, type Truth } from './traffic.ts';

/** The example of the loop file (docs/loop-file.md). */
const weights = [0.05, 0.25, 0.5];
const atLeastRequests = 300;
const atMostMinutes = 60;
/** Besides every failure of the candidate, so often: about what 200 ms between two looks come to. */
const lookEvery = 20;
const lookAtLatencyEvery = 200;

export interface Judge {
  /** Called after a failure of the candidate and every `lookEvery` requests. */
  look(candidate: Counts, stable: Counts, requests: number): 'advance' | 'hold' | 'rollback';
}

/** Requests one after the other through the steps, judged all the time. */
export function rollOut(judge: Judge, truth: Truth, random: Random, latencies: readonly number[]): Ended {
  let minutes = 0;
  let requests = 0;
  let errors = 0;
  for (const [step, weight] of weights.entries()) {
    const [candidate, stable] = [noCounts(), noCounts()];
    const ended = (outcome: Ended['outcome'], after: number): Ended => ({
      outcome,
      minutes: minutes + after / requestsPerMinute,
      requests: requests + candidate.requests,
      errors: errors + candidate.errors,
      steps: step + 1,
    });
    let sent = 0;
    for (;;) {
      sent++;
      const isCandidate = random.uniform() < weight;
      const variant = isCandidate ? candidate : stable;
      variant.requests++;
      const failed = random.uniform() < (isCandidate ? truth.candidateErrorRate : truth.stableErrorRate);
      if (failed) variant.errors++;
      else variant.latency.counts[latencies[random.uint32() % latencies.length]!]!++;
      if (!(failed && isCandidate) && sent % lookEvery !== 0) continue;
      const decision = judge.look(candidate, stable, sent);
      if (decision === 'rollback') return ended('rolledBack', sent);
      if (decision === 'advance') break;
      if (sent >= atMostMinutes * requestsPerMinute) return ended('timedOut', sent);
    }
    minutes += sent / requestsPerMinute;
    requests += candidate.requests;
    errors += candidate.errors;
  }
  return { outcome: 'promoted', minutes, requests, errors, steps: weights.length };
}

const trials = ({ requests, errors }: Counts): Trials => ({ trials: requests, events: errors });

/**
 * `decideCanary` as the endpoint's activity asks it. It costs a millisecond, so the whole decision is asked for only where
 * it can differ from the last one: where its own evidence has crossed what it needs, and where enough requests are there
 * and no more failures than tolerated. The evidence is looked at only where it can be any: below the tolerated difference
 * it is at most even.
 */
export function ours(errorRateMargin: number): Judge {
  const latency = { quantile: 0.99, relative: 0.5 };
  const rules: CanaryRules = {
    ...{ atLeastRequests, errorRateMargin, alpha: canaryAlpha },
    latencyP99Relative: latency.relative,
  };
  const needed = Math.log(2 / canaryAlpha);
  return {
    look(candidate, stable, sent) {
      const failsMore =
        candidate.errors / candidate.requests > (stable.requests && stable.errors / stable.requests) + errorRateMargin;
      const isHarmful =
        (failsMore && twoSampleEvidence(trials(candidate), trials(stable), errorRateMargin) >= needed) ||
        (sent % lookAtLatencyEvery === 0 &&
          isSlower(candidate, stable, latency) &&
          latencyEvidence(candidate.latency, stable.latency, latency) >= needed);
      if (!isHarmful && (candidate.requests < atLeastRequests || failsMore)) return 'hold';
      return decideCanary({ candidate, stable }, rules).decision;
    },
  };
}

const isSlower = (candidate: Counts, stable: Counts, { quantile, relative }: { quantile: number; relative: number }) =>
  (latencyQuantileMs(candidate.latency, quantile) ?? 0) >
  (1 + relative) * (latencyQuantileMs(stable.latency, quantile) ?? 0);

/** The textbook's test of two shares, one-sided at the same α, looked at as often; it tolerates the same margin. */
export function zTest(errorRateMargin: number): Judge {
  const limit = -normalQuantile(canaryAlpha);
  return {
    look(candidate, stable) {
      if (candidate.requests >= 20 && stable.requests >= 20 && zOf(candidate, stable, errorRateMargin) > limit)
        return 'rollback';
      return candidate.requests >= atLeastRequests ? 'advance' : 'hold';
    },
  };
}

export function zOf(candidate: Pick<Counts, 'requests' | 'errors'>, stable: typeof candidate, margin: number): number {
  const [p, q] = [candidate.errors / candidate.requests, stable.errors / stable.requests];
  const error = Math.sqrt((p * (1 - p)) / candidate.requests + (q * (1 - q)) / stable.requests);
  return error > 0 ? (p - q - margin) / error : 0;
}
