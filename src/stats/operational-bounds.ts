import type { Evaluation } from '../contracts/manifests.ts';
import type { BoundResult, GateMetric, GateSpec, MetricName } from '../contracts/verdict.ts';
import { type Contest, type GateQuestion, questionsOf, type TestedBound, unknownBound } from './gate-questions.ts';
import { tidy } from './metrics.ts';

/** What was measured about a model besides its answers. */
export type Operational = Pick<Evaluation, 'latency' | 'sizeBytes'>;

/**
 * Latency and size are plain numbers without an interval, so a bound on them holds or it does not. A size is exact. A
 * latency is not: give `worseBy` room for the noise of the machine, measure all models in one run, and take enough
 * samples: a p99 of fewer than 100 is a maximum, and such a bound stays inconclusive.
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

const latencyQuantiles = { latencyP50: 0.5, latencyP95: 0.95, latencyP99: 0.99 } as const;
const isLatency = (metric: MetricName): metric is keyof typeof latencyQuantiles => metric in latencyQuantiles;

function measured(metric: MetricName, { latency, sizeBytes }: Operational): number {
  switch (metric) {
    case 'latencyP50':
      return latency.p50Ms;
    case 'latencyP95':
      return latency.p95Ms;
    case 'latencyP99':
      return latency.p99Ms;
    default:
      return sizeBytes;
  }
}

function testBound(metric: GateMetric, question: GateQuestion, contest: Contest<Operational>): TestedBound {
  const { candidate } = contest;
  const models = 'limit' in question ? [candidate] : [candidate, contest.opponents[question.against]!];
  const rows = isLatency(metric.metric) ? candidate.latency.samples : 0;
  const unknown = (obstacle: string) => unknownBound(metric, question, { slice: 'overall', rows, obstacle });
  for (const model of models) {
    const value = measured(metric.metric, model);
    if (!(Number.isFinite(value) && value >= 0)) return unknown(`it was not measured (${value})`);
    if (!isLatency(metric.metric)) continue;
    const fewest = Math.round(1 / (1 - latencyQuantiles[metric.metric]));
    if (!(model.latency.samples >= fewest))
      return unknown(`it rests on ${model.latency.samples} samples, and this quantile takes at least ${fewest}`);
  }
  const { estimate, limit, holds } = hold(
    metric,
    question,
    models.map((model) => measured(metric.metric, model)),
  );
  const bound: BoundResult = {
    metric: metric.metric,
    slice: 'overall',
    against: question.against,
    result: holds ? 'pass' : 'fail',
    estimate: tidy(estimate),
    lower: null,
    upper: null,
    limit: tidy(limit),
    rows,
    disagreement: null,
    rowsNeeded: null,
    pFail: null,
  };
  return { bound, blocks: !holds };
}

function hold(metric: GateMetric, question: GateQuestion, values: number[]) {
  const [ours, theirs] = [values[0]!, values[1]!];
  if ('limit' in question) {
    const { limit, against } = question;
    return { estimate: ours, limit, holds: against === 'floor' ? ours >= limit : ours <= limit };
  }
  const estimate = metric.direction === 'higher' ? ours - theirs : theirs - ours;
  const { allowance } = question;
  const limit = 0 - ('margin' in allowance ? allowance.margin : allowance.worseBy * theirs);
  return { estimate, limit, holds: estimate >= limit };
}
