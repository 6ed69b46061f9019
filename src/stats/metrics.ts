import type { MetricValue, RowOutcome } from '../contracts/manifests.ts';
import { metricCurve, metricSupport } from './metric-curves.ts';
import { type RowMeaning, type ScoredRows, scoredRows, selectRows } from './scored-rows.ts';
import { type OwnMetric, type RowMetric, type RowMetricName, rowMetricNames } from './weighted-metrics.ts';

/** The metrics that apply to the task, by name. */
export type MetricTable = Record<string, MetricValue>;

const isErrorMetric = (metric: RowMetricName) => metric === 'rmse' || metric === 'mae' || metric === 'r2';

/** Metrics of the user's evaluation program, by name. */
export type OwnMetrics = Readonly<Record<string, OwnMetric>>;

/**
 * All metrics of one model with two-sided 95 % intervals. A metric that these rows leave undefined (no rows, one class,
 * scores that are not finite) has the value null, never NaN. Throws `StatsInputError` for duplicate row ids.
 */
export function computeMetrics(
  outcomes: readonly RowOutcome[],
  meaning: RowMeaning,
  own: OwnMetrics = {},
): MetricTable {
  return tableOf(scoredRows(outcomes, meaning), own);
}

/** The same by slice membership: `hasHtml=true` → its metrics. */
export function sliceMetrics(
  outcomes: readonly RowOutcome[],
  meaning: RowMeaning,
  own: OwnMetrics = {},
): Record<string, MetricTable> {
  const scored = scoredRows(outcomes, meaning);
  return Object.fromEntries(sliceNames(scored).map((slice) => [slice, tableOf(rowsInSlice(scored, slice), own)]));
}

/** Memberships that occur, sorted; with a column only those of that column. */
export function sliceNames(scored: ScoredRows, column?: string): string[] {
  const names = new Set(scored.outcomes.flatMap((o) => o.slices));
  return [...names].filter((name) => column === undefined || name.startsWith(`${column}=`)).sort();
}

const rowsInSlice = (scored: ScoredRows, slice: string): ScoredRows =>
  selectRows(scored, (outcome) => outcome.slices.includes(slice));

function tableOf(scored: ScoredRows, own: OwnMetrics): MetricTable {
  const names = rowMetricNames.filter((metric) => isErrorMetric(metric) === (scored.task === 'regression'));
  const metrics: [string, RowMetric][] = [
    ...names.map((name): [string, RowMetric] => [name, name]),
    ...Object.entries(own),
  ];
  return Object.fromEntries(metrics.map(([name, metric]) => [name, metricValue(metric, scored)]));
}

function metricValue(metric: RowMetric, scored: ScoredRows): MetricValue {
  const curve = metricCurve(metric, scored);
  if (!curve) return { value: null, lower: null, upper: null, rows: metricSupport(metric, scored) };
  const { estimate, rows } = curve;
  return {
    value: tidy(estimate),
    // A bootstrap interval may leave out its own estimate where the metric is strongly biased; people read it as a range.
    lower: tidy(Math.min(estimate, curve.lower(0.025))),
    upper: tidy(Math.max(estimate, curve.upper(0.025))),
    rows,
  };
}

/** Twelve significant digits: the same bytes on every engine, whatever its last bits of `log` and `exp`. */
export const tidy = (x: number): number => Number(x.toPrecision(12));
