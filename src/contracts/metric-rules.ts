import type { RuleProblem } from './loop-rules.ts';
import { shareMetrics } from './units.ts';
import { defaultDirection, isMetricName } from './verdict.ts';

/** A limit and the unit that it was written in. */
interface Limit {
  unit: 'points' | 'number' | 'duration' | 'size';
  value: number;
}

/** A requirement of the gate as it was written. */
export interface WrittenMetric {
  metric: string;
  value?: string | undefined;
  aggregate?: string | undefined;
  direction?: 'higher' | 'lower' | undefined;
  floor?: Limit | undefined;
  ceiling?: Limit | undefined;
  margin?: Limit | undefined;
  worseBy?: number | undefined;
}

/** What one requirement says about itself. Pure; each problem names the field that a person should change. */
export function metricProblems(metric: WrittenMetric): RuleProblem[] {
  const problems = [...ownMetricProblems(metric), ...limitProblems(metric)];
  const { floor, ceiling, margin, worseBy } = metric;
  if ([floor, ceiling, margin, worseBy].every((limit) => limit === undefined))
    problems.push({ path: [], message: 'expected at least one of floor, ceiling, margin, worseBy' });
  return problems;
}

/** A metric of ours is defined by us; one of the user's program has no direction until somebody says it. */
function ownMetricProblems({ metric, value, aggregate, direction }: WrittenMetric): RuleProblem[] {
  if (!isMetricName(metric))
    return direction === undefined
      ? [
          {
            path: ['direction'],
            message: `missing; expected "higher" or "lower": nobody else knows what is better in ${metric}`,
          },
        ]
      : [];
  return Object.entries({ value, aggregate }).flatMap(([field, written]) =>
    written === undefined
      ? []
      : [{ path: [field], message: `${metric} is computed by goto3; this is for metrics of evaluate.program` }],
  );
}

function limitProblems(metric: WrittenMetric): RuleProblem[] {
  const name = metric.metric;
  const direction = metric.direction ?? (isMetricName(name) ? defaultDirection[name] : undefined);
  const problems: RuleProblem[] = [];
  for (const key of ['floor', 'ceiling'] as const) {
    const limit = metric[key];
    if (limit === undefined) continue;
    const problem = unitProblem(name, limit, 'limit') ?? rangeProblem(name, limit.value);
    if (problem !== undefined) problems.push({ path: [key], message: problem });
    if (direction !== undefined && (key === 'floor') !== (direction === 'higher'))
      problems.push({
        path: [key],
        message: `of ${name}, ${direction} is better: expected ${key === 'floor' ? 'ceiling' : 'floor'}`,
      });
  }
  const problem = metric.margin && unitProblem(name, metric.margin, 'margin');
  if (problem !== undefined) problems.push({ path: ['margin'], message: problem });
  return problems;
}

/** A share's limits are plain numbers as people know them, its margins are points: `2` of them is never 200. */
function unitProblem(metric: string, { unit }: Limit, what: 'limit' | 'margin'): string | undefined {
  const isShare = shareMetrics.includes(metric);
  const fits: Limit['unit'][] = metric.startsWith('latency')
    ? ['duration']
    : metric === 'sizeBytes'
      ? ['size']
      : isShare && what === 'margin'
        ? ['points']
        : ['number'];
  if (fits.includes(unit)) return undefined;
  const example = {
    points: 'percentage points such as "2pt"',
    number: 'a number',
    duration: 'a duration such as "20ms"',
    size: 'a size such as "10MiB"',
  };
  return `expected ${fits.map((fit) => example[fit]).join(' or ')}, as ${metric} is measured`;
}

function rangeProblem(metric: string, limit: number): string | undefined {
  if (!isMetricName(metric)) return undefined;
  if (shareMetrics.includes(metric))
    return limit < 0 || limit > 1 ? `expected a share between 0 and 1 such as 0.90, got ${limit}` : undefined;
  if (metric === 'r2') return limit > 1 ? `expected 1 or less, got ${limit}` : undefined;
  return limit < 0 ? `expected zero or more, got ${limit}` : undefined;
}
