import { StatsInputError } from './errors.ts';
import { latencyEvidence, latencyQuantileBounds } from './latency-evidence.ts';
import { type LatencyHistogram, latencyQuantileMs, requireHistogram } from './latency-histogram.ts';
import { tidy } from './metrics.ts';
import { type Trials, tooOften, twoSampleEvidence } from './sequential.ts';

/** What one variant did since the step began; cumulative. */
export interface VariantEvidence {
  requests: number;
  errors: number;
  /** Of the requests that were answered. */
  latency: LatencyHistogram;
}

/**
 * Both variants under the same traffic at the same time, at constant weights: start the counts anew at each step, so that
 * a bad hour at another weight is not mistaken for a bad model.
 */
export interface CanaryEvidence {
  candidate: VariantEvidence;
  stable: VariantEvidence;
  /** Requests that both answered (a shadow repeats them), and on how many their labels differ. */
  disagreement?: { compared: number; differ: number };
}

export interface CanaryRules {
  /** Requests of the candidate before it may advance. */
  atLeastRequests: number;
  /** Error rate above stable's that is tolerated: 0.01 = one percentage point. */
  errorRateMargin: number;
  /** p99 latency above stable's that is tolerated, relative: 0.5 = half as slow again. */
  latencyP99Relative: number;
  /** Share of requests on which the two may disagree; not tested without it. */
  disagreementAtMost?: number;
  /** Probability that a harmless candidate is ever rolled back in this step, however often one looks. */
  alpha: number;
}

/** `e`: evidence of harm, as odds; `needed`: what rolls back. Bounds hold at all times at once. */
export interface CanaryBound {
  test: 'errorRate' | 'latencyP99' | 'disagreement';
  e: number;
  needed: number;
  /** Candidate − stable in error rate; candidate / stable − 1 in p99 latency; share of disagreement. */
  estimate: number | null;
  lower: number | null;
  upper: number | null;
  limit: number;
}

export interface CanaryDecision {
  decision: 'advance' | 'hold' | 'rollback';
  /** For people. */
  reason: string;
  bounds: CanaryBound[];
}

/**
 * Rolls back on evidence that a tolerance is exceeded; else holds until the candidate has answered enough requests, and
 * while what it shows leans towards harm; else advances. No traffic is no evidence: hold. Pure; may be asked after every
 * request. Throws `StatsInputError` for counts that cannot be.
 */
export function decideCanary(evidence: CanaryEvidence, rules: CanaryRules): CanaryDecision {
  const { candidate, stable, disagreement } = evidence;
  requireRules(rules);
  for (const [name, { requests, errors, latency }] of Object.entries({ candidate, stable })) {
    requireCounts(name, requests, errors);
    requireHistogram(`${name}.latency`, latency);
  }
  if (disagreement) requireCounts('disagreement', disagreement.compared, disagreement.differ);

  const tests = 2 + (rules.disagreementAtMost === undefined ? 0 : 1);
  // Each test gets its share of alpha.
  const needed = tests / rules.alpha;
  const bounds = [errorBound(candidate, stable, rules, needed), latencyBound(candidate, stable, rules, needed)];
  if (rules.disagreementAtMost !== undefined)
    bounds.push(disagreementBound(disagreement, rules.disagreementAtMost, needed));

  const harm = bounds.find(({ e }) => e >= needed);
  const leaning = bounds.find(leansTowardsHarm);
  const answer = (decision: CanaryDecision['decision'], reason: string) => ({ decision, reason, bounds });
  if (harm) return answer('rollback', `${describe(harm, evidence)}; the evidence is ${odds(harm)}.`);
  if (candidate.requests === 0) return answer('hold', 'The candidate has had no traffic.');
  if (candidate.requests < rules.atLeastRequests)
    return answer(
      'hold',
      `The candidate has answered ${candidate.requests} of at least ${rules.atLeastRequests} requests.`,
    );
  if (stable.requests === 0) return answer('hold', 'Stable has had no traffic to compare with.');
  if (leaning)
    return answer('hold', `${describe(leaning, evidence)}; the evidence is ${odds(leaning)}, more requests will tell.`);
  return answer(
    'advance',
    `No evidence of harm in ${candidate.requests} requests (${bounds.map((b) => `${b.test} ${odds(b)}`).join(', ')}).`,
  );
}

/**
 * Not proven, but no reason to send it more traffic: more errors than tolerated, or evidence better than even. A p99 of
 * few hundred requests is too noisy to hold a rollout by its estimate alone.
 */
const leansTowardsHarm = ({ test, e, estimate, limit }: CanaryBound): boolean =>
  e >= 1 || (test === 'errorRate' && estimate !== null && estimate > limit);

const trialsOf = ({ requests, errors }: VariantEvidence): Trials => ({ trials: requests, events: errors });

function errorBound(
  candidate: VariantEvidence,
  stable: VariantEvidence,
  rules: CanaryRules,
  needed: number,
): CanaryBound {
  const [ours, theirs] = [trialsOf(candidate), trialsOf(stable)];
  const both = ours.trials > 0 && theirs.trials > 0;
  return {
    test: 'errorRate',
    e: shown(twoSampleEvidence(ours, theirs, rules.errorRateMargin)),
    needed,
    estimate: both ? tidy(ours.events / ours.trials - theirs.events / theirs.trials) : null,
    lower: both ? tidy(lastRejected((margin) => twoSampleEvidence(ours, theirs, margin), needed)) : null,
    upper: both ? tidy(0 - lastRejected((margin) => twoSampleEvidence(theirs, ours, margin), needed)) : null,
    limit: rules.errorRateMargin,
  };
}

/** The highest margin that the evidence still speaks against; evidence falls as the margin grows. */
function lastRejected(evidence: (margin: number) => number, needed: number): number {
  let low = -1;
  let high = 1;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (evidence(middle) >= Math.log(needed)) low = middle;
    else high = middle;
  }
  return low;
}

const p99 = 0.99;

function latencyBound(
  candidate: VariantEvidence,
  stable: VariantEvidence,
  rules: CanaryRules,
  needed: number,
): CanaryBound {
  const ours = latencyQuantileMs(candidate.latency, p99);
  const theirs = latencyQuantileMs(stable.latency, p99);
  // A ratio's bounds hold when both quantiles' do: half of the test's error each.
  const within = (of: VariantEvidence) => latencyQuantileBounds(of.latency, p99, Math.log(2 * needed));
  const [inner, outer] = [within(candidate), within(stable)];
  const ratio = (a: number | null, b: number | null) => (a === null || b === null ? null : tidy(a / b - 1));
  return {
    test: 'latencyP99',
    e: shown(latencyEvidence(candidate.latency, stable.latency, { quantile: p99, relative: rules.latencyP99Relative })),
    needed,
    estimate: ratio(ours, theirs),
    lower: ratio(inner.lowerMs, outer.upperMs),
    upper: ratio(inner.upperMs, outer.lowerMs),
    limit: rules.latencyP99Relative,
  };
}

function disagreementBound(counts: CanaryEvidence['disagreement'], limit: number, needed: number): CanaryBound {
  const trials = { trials: counts?.compared ?? 0, events: counts?.differ ?? 0 };
  return {
    test: 'disagreement',
    e: shown(tooOften(trials, limit)),
    needed,
    estimate: trials.trials > 0 ? tidy(trials.events / trials.trials) : null,
    lower: null,
    upper: null,
    limit,
  };
}

/** e from ln e, within what JSON and people can take. */
const shown = (logE: number): number => tidy(Math.exp(Math.min(logE, Math.log(1e12))));

const odds = ({ e, needed }: CanaryBound): string =>
  `${e >= 1e6 ? 'over 1,000,000' : Number(e.toPrecision(2))} of ${Number(needed.toPrecision(3))} needed`;

function describe({ test, estimate, limit }: CanaryBound, { candidate, stable, disagreement }: CanaryEvidence): string {
  if (test === 'errorRate')
    return `${candidate.errors} of ${candidate.requests} requests failed on the candidate, ${stable.errors} of ${stable.requests} on stable, +${Number((100 * limit).toPrecision(3))} pt is tolerated`;
  if (test === 'latencyP99')
    return `p99 latency is ${estimate === null ? 'not known' : `${percent(estimate)} above stable's`}, +${percent(limit)} is tolerated`;
  return `the models disagree on ${disagreement?.differ ?? 0} of ${disagreement?.compared ?? 0} requests, ${percent(limit)} is tolerated`;
}

const percent = (x: number): string => `${Number((100 * x).toPrecision(3))} %`;

function requireCounts(name: string, trials: number, events: number): void {
  if (!(Number.isSafeInteger(trials) && Number.isSafeInteger(events) && events >= 0 && events <= trials))
    throw new StatsInputError(`${name}: ${events} of ${trials}, expected whole numbers with 0 ≤ events ≤ requests`);
}

function requireRules({ alpha, errorRateMargin, latencyP99Relative, disagreementAtMost = 0 }: CanaryRules): void {
  if (!(alpha > 0 && alpha < 1)) throw new StatsInputError(`alpha: got ${alpha}, expected a number between 0 and 1`);
  for (const [name, value] of Object.entries({ errorRateMargin, latencyP99Relative, disagreementAtMost }))
    if (!(value >= 0 && Number.isFinite(value)))
      throw new StatsInputError(`${name}: got ${value}, expected a finite number, zero or more`);
}
