import type { Evaluation, PairedLatency } from '../contracts/manifests.ts';
import type { BoundResult, GateMetric, GateSpec } from '../contracts/verdict.ts';
import { gateAlpha } from './confidence.ts';
import {
  type Contest,
  type GateQuestion,
  type Opponent,
  questionsOf,
  type TestedBound,
  unknownBound,
} from './gate-questions.ts';
import { tidy } from './metrics.ts';
import type { Allowance } from './paired.ts';
import { signedRankCurve } from './signed-rank.ts';

/** What was measured about a model besides its answers. */
export interface Operational extends Pick<Evaluation, 'latency' | 'sizeBytes'> {
  /** Latency in turns with the other model, side by side. */
  latencyAgainst?: Readonly<Partial<Record<Opponent, PairedLatency>>>;
}

/**
 * A size is exact, so a bound on it holds or it does not; so does a ceiling on a latency, which is a plain number: give it
 * room for the noise of the machine. Against another model a latency has bounds, from blocks in which both were measured
 * in turns: two measurements at different times compare the machine with itself.
 */
export function operationalBounds(metric: GateMetric, gate: GateSpec, contest: Contest<Operational>): TestedBound[] {
  const questions = questionsOf(metric, gate, contest);
  const unsliced = metric.slices.flatMap((column) =>
    questions.map((question) =>
      unknownBound(metric, question, { slice: `${column}=*`, rows: 0, obstacle: 'it is not measured by slice' }),
    ),
  );
  return [...questions.map((question) => testBound(metric, question, contest)), ...unsliced];
}

const latencyQuantiles: Readonly<Record<string, { share: number; name: 'p50' | 'p95' | 'p99' }>> = {
  latencyP50: { share: 0.5, name: 'p50' },
  latencyP95: { share: 0.95, name: 'p95' },
  latencyP99: { share: 0.99, name: 'p99' },
};

function testBound(metric: GateMetric, question: GateQuestion, contest: Contest<Operational>): TestedBound {
  const { candidate, opponents } = contest;
  const unknown = (obstacle: string, rows = 0) => unknownBound(metric, question, { slice: 'overall', rows, obstacle });
  const quantile = latencyQuantiles[metric.metric];
  if (!quantile && metric.metric !== 'sizeBytes') return unknown('nobody measures it');
  if (quantile && 'allowance' in question) {
    const paired = candidate.latencyAgainst?.[question.against];
    return paired ? pairedBound(metric, question, paired) : unknown('the two were not measured in turns');
  }
  const samples = quantile ? candidate.latency.samples : 0;
  const ours = quantile ? candidate.latency[`${quantile.name}Ms`] : candidate.sizeBytes;
  if (!(Number.isFinite(ours) && ours >= 0)) return unknown(`it was not measured (${ours})`, samples);
  if (quantile && !(samples >= fewest(quantile.share)))
    return unknown(
      `it rests on ${samples} samples, and this quantile takes at least ${fewest(quantile.share)}`,
      samples,
    );
  const { estimate, limit, holds } =
    'limit' in question
      ? {
          estimate: ours,
          limit: question.limit,
          holds: question.against === 'floor' ? ours >= question.limit : ours <= question.limit,
        }
      : compareSizes(metric, question.allowance, ours, opponents[question.against]!.sizeBytes);
  const bound: BoundResult = {
    ...unknown('').bound,
    result: holds ? 'pass' : 'fail',
    estimate: tidy(estimate),
    limit: tidy(limit),
    rows: samples,
  };
  return { bound, blocks: !holds };
}

/** Fewer samples than this make a maximum of the quantile. */
const fewest = (share: number): number => Math.round(1 / (1 - share));

function compareSizes({ direction }: GateMetric, allowance: Allowance, ours: number, theirs: number) {
  const estimate = direction === 'higher' ? ours - theirs : theirs - ours;
  const limit = 0 - ('margin' in allowance ? allowance.margin : allowance.worseBy * theirs);
  return { estimate, limit, holds: estimate >= limit };
}

/**
 * Relative allowances are tested on the logarithm of the ratio: at the limit itself the two are then interchangeable but
 * for a factor, which is what the signed-rank test asks for. Shown in milliseconds, at the other's median.
 */
function pairedBound(
  metric: GateMetric,
  { against, allowance }: Extract<GateQuestion, { allowance: Allowance }>,
  { blocks, rowsPerBlock }: PairedLatency,
): TestedBound {
  const question = { against, allowance };
  const { share, name } = latencyQuantiles[metric.metric]!;
  const rows = blocks.length * rowsPerBlock;
  const unknown = (obstacle: string) => unknownBound(metric, question, { slice: 'overall', rows, obstacle });
  if (rowsPerBlock < fewest(share))
    return unknown(`a block has ${rowsPerBlock} rows, and this quantile takes at least ${fewest(share)}`);
  const pairs = blocks.map((block) => block[name]);
  const sign = metric.direction === 'higher' ? -1 : 1;
  const isRatio = 'worseBy' in allowance;
  const curve = signedRankCurve(
    pairs.map(([ours, theirs]) => sign * (isRatio ? Math.log(theirs / ours) : theirs - ours)),
  );
  if (!curve) return unknown(`${blocks.length} blocks bound nothing`);
  const limit = isRatio ? -Math.log1p(allowance.worseBy) : 0 - allowance.margin;
  const theirs = pairs.map(([, other]) => other).sort((a, b) => a - b)[pairs.length >> 1]!;
  const inMs = (x: number) => tidy(isRatio ? theirs * (1 - Math.exp(-x)) : x);
  const lower = curve.lower(gateAlpha);
  const holds = lower > limit;
  const bound: BoundResult = {
    ...unknown('').bound,
    result: holds ? 'pass' : 'inconclusive',
    estimate: inMs(curve.estimate),
    lower: inMs(lower),
    upper: inMs(curve.upper(gateAlpha)),
    limit: inMs(limit),
    pFail: tidy(curve.pBelow(limit)),
  };
  return { bound, blocks: !holds };
}
