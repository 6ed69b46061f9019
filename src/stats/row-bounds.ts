import type { BoundResult, GateMetric, GateSpec } from '../contracts/verdict.ts';
import { type ConfidenceCurve, gateAlpha } from './confidence.ts';
import { type Contest, type GateQuestion, questionsOf, type TestedBound, unknownBound } from './gate-questions.ts';
import { fewestLimitingRows, limitingRows, metricCurve, metricSupport } from './metric-curves.ts';
import { sliceNames, tidy } from './metrics.ts';
import { pairedDifference } from './paired.ts';
import { rowsToDecide, rowsWithoutEvent } from './power.ts';
import { type ScoredRows, selectRows } from './scored-rows.ts';
import type { RowMetric } from './weighted-metrics.ts';

/** A requirement on rows, and what it measures there. */
export type RowRequirement = GateMetric & { of: RowMetric };

/** Every bound of one requirement, overall and then slice by slice. The models are already on the same rows. */
export function rowBounds(metric: RowRequirement, gate: GateSpec, contest: Contest<ScoredRows>): TestedBound[] {
  const questions = questionsOf(metric, gate, contest);
  const bounds = questions.map((question) => testBound(metric, question, contest, 'overall'));
  for (const column of metric.slices) {
    const slices = sliceNames(contest.candidate, column);
    if (slices.length === 0) {
      const obstacle = `no row has a value of ${column}, so the slice cannot be guarded`;
      bounds.push(...questions.map((q) => unknownBound(metric, q, { slice: `${column}=*`, rows: 0, obstacle })));
    }
    for (const slice of slices) {
      const within = contestWithin(contest, slice);
      bounds.push(...questions.map((question) => testBound(metric, question, within, slice)));
    }
  }
  return bounds;
}

/** The candidate's memberships choose the rows of all models. */
function contestWithin({ candidate, opponents }: Contest<ScoredRows>, slice: string): Contest<ScoredRows> {
  const within = (rows: ScoredRows) => selectRows(rows, (_, i) => candidate.outcomes[i]!.slices.includes(slice));
  return {
    candidate: within(candidate),
    opponents: Object.fromEntries(Object.entries(opponents).map(([name, rows]) => [name, within(rows)])),
  };
}

function testBound(
  metric: RowRequirement,
  question: GateQuestion,
  contest: Contest<ScoredRows>,
  slice: string,
): TestedBound {
  const { candidate } = contest;
  const limiting = limitingRows(metric.of, candidate);
  if (slice !== 'overall' && limiting < Math.max(metric.minRows, fewestLimitingRows(metric.of, candidate)))
    return tooSmall(metric, question, slice, limiting);
  if (limiting === 0) return unknownBound(metric, question, { slice, rows: 0, obstacle: noRows(metric, candidate) });

  const asked = ask(metric, question, contest);
  const { curve, limit, rows, disagreement } = asked;
  if (!curve) {
    if (slice !== 'overall') return tooSmall(metric, question, slice, limiting);
    return unknownBound(metric, question, { slice, rows, obstacle: 'it is not defined on these rows' });
  }
  const lower = curve.lower(gateAlpha);
  const upper = curve.upper(gateAlpha);
  const bound: BoundResult = {
    metric: metric.metric,
    slice,
    against: question.against,
    result: 'pass',
    estimate: tidy(curve.estimate),
    lower: tidy(lower),
    upper: tidy(upper),
    limit: tidy(limit),
    rows,
    disagreement: disagreement === null ? null : tidy(disagreement),
    rowsNeeded: null,
    pFail: tidy(question.against === 'ceiling' ? curve.pAbove(limit) : curve.pBelow(limit)),
  };
  const fewest = fewestLimitingRows(metric.of, candidate);
  if (limiting < fewest) {
    const rowsNeeded = Math.ceil((fewest / limiting) * rows);
    const obstacle = `it rests on ${limiting} rows of one class, and fewer than ${fewest} bound nothing`;
    return { bound: { ...bound, result: 'inconclusive', rowsNeeded, pFail: null }, blocks: true, obstacle };
  }
  const holds =
    question.against === 'floor' ? lower >= limit : question.against === 'ceiling' ? upper <= limit : lower > limit;
  if (holds) return { bound, blocks: false };
  return {
    bound: { ...bound, result: 'inconclusive', rowsNeeded: rowsNeededFor(question, asked, curve) },
    blocks: true,
  };
}

const noRows = (metric: RowRequirement, rows: ScoredRows): string =>
  rows.rows === 0
    ? 'there are no rows'
    : `none of the ${rows.rows} rows counts for ${metric.metric}${rows.positive === undefined && rows.task !== 'regression' ? ', and no positive class is named' : ''}`;

/** The number that the question is about, and the limit that it must keep. */
function ask(metric: RowRequirement, question: GateQuestion, { candidate, opponents }: Contest<ScoredRows>) {
  if ('limit' in question) {
    const curve = metricCurve(metric.of, candidate);
    const rows = curve?.rows ?? metricSupport(metric.of, candidate);
    return { curve, limit: question.limit, rows, disagreement: null };
  }
  const other = opponents[question.against]!;
  return pairedDifference(
    { metric: metric.of, direction: metric.direction, allowance: question.allowance },
    candidate,
    other,
  );
}

/** Planned for a difference that is truly zero, or for a metric that is truly what we see. */
function rowsNeededFor(question: GateQuestion, { limit }: { limit: number }, curve: ConfidenceCurve): number | null {
  if ('limit' in question) return rowsToDecide(curve, limit, { expected: curve.estimate });
  return rowsToDecide(curve, limit, { expected: 0, worstRows: rowsWithoutEvent(-limit) });
}

function tooSmall(metric: RowRequirement, question: GateQuestion, slice: string, rows: number): TestedBound {
  const obstacle = `${rows} rows, and fewer than ${metric.minRows} are not judged`;
  const { bound } = unknownBound(metric, question, { slice, rows, obstacle });
  return {
    bound: { ...bound, result: 'tooSmall', rowsNeeded: metric.minRows },
    blocks: metric.tooSmall === 'inconclusive',
    obstacle,
  };
}
