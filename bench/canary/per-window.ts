import type { Random } from '../../src/stats/random.ts';
import { binomialSample } from '../../test/stats/simulate.ts';
import { type Ended, requestsPerMinute, type Truth } from './traffic.ts';

/** The canary's own success rate over one minute, and what it cost. */
function minuteAt(weight: number, { candidateErrorRate }: Truth, random: Random): { requests: number; errors: number } {
  const requests = binomialSample(random, requestsPerMinute, weight);
  return { requests, errors: binomialSample(random, requests, candidateErrorRate) };
}

const successRate = ({ requests, errors }: { requests: number; errors: number }): number => 1 - errors / requests;

/**
 * Argo Rollouts, background analysis as https://argo-rollouts.readthedocs.io/en/stable/features/analysis/ shows it: weights
 * 20, 40, 60, 80 for ten minutes each; from 40 on the success rate every five minutes; three measurements below
 * `successRateAtLeast` (0.95 there) abort. `irate` looks at the last two scrapes: a minute with Prometheus' default.
 */
export function argo(successRateAtLeast: number, truth: Truth, random: Random): Ended {
  const total = { requests: 0, errors: 0 };
  let failures = 0;
  for (let minute = 1; minute <= 40; minute++) {
    const weight = 0.2 * Math.ceil(minute / 10);
    const seen = minuteAt(weight, truth, random);
    total.requests += seen.requests;
    total.errors += seen.errors;
    if (minute > 10 && minute % 5 === 0 && successRate(seen) < successRateAtLeast) failures++;
    if (failures === 3) return { outcome: 'rolledBack', minutes: minute, steps: Math.ceil(minute / 10), ...total };
  }
  return { outcome: 'promoted', minutes: 40, steps: 4, ...total };
}

/**
 * Flagger as https://docs.flagger.app/usage/how-it-works shows it: every minute the success rate of the last minute;
 * at least `successRateAtLeast` (0.99 there) moves the weight up by 5 to 50, less is a failed check, and ten of them roll
 * back.
 */
export function flagger(successRateAtLeast: number, truth: Truth, random: Random): Ended {
  const total = { requests: 0, errors: 0 };
  let failedChecks = 0;
  let weight = 5;
  for (let minute = 1; ; minute++) {
    const seen = minuteAt(weight / 100, truth, random);
    total.requests += seen.requests;
    total.errors += seen.errors;
    const steps = weight / 5;
    if (successRate(seen) < successRateAtLeast) failedChecks++;
    else if (weight === 50) return { outcome: 'promoted', minutes: minute, steps, ...total };
    else weight += 5;
    if (failedChecks === 10) return { outcome: 'rolledBack', minutes: minute, steps, ...total };
  }
}
