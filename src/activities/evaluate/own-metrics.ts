import type { MetricValue } from '../../contracts/manifests.ts';
import { type GateSpec, isMetricName } from '../../contracts/verdict.ts';
import type { OwnMetrics } from '../../stats/metrics.ts';

/** What the gate says about the metrics of the user's evaluation program. */
export const ownMetricsOf = ({ metrics }: GateSpec): OwnMetrics =>
  Object.fromEntries(
    metrics.flatMap(({ metric, value, aggregate }) =>
      value === undefined ? [] : [[metric, { value, aggregate: aggregate ?? 'mean' }]],
    ),
  );

/** As people compare printed numbers. */
const agreement = 1e-6;

/**
 * What the program's own sum says that its rows do not. The gate judges rows, so a program whose `metrics.json` tells
 * another story about a metric of the gate has an error in one of them.
 */
export function contradiction(
  own: OwnMetrics,
  claimed: Readonly<Record<string, number>>,
  measured: Readonly<Record<string, MetricValue>>,
): string | undefined {
  for (const name of Object.keys(own)) {
    const [theirs, ours] = [claimed[name], measured[name]?.value];
    if (theirs === undefined || ours === undefined || ours === null) continue;
    if (Math.abs(theirs - ours) > agreement * Math.max(1, Math.abs(ours)))
      return `metrics.json: ${name} is ${theirs}, and its rows give ${ours}`;
  }
  return undefined;
}

/** Numbers of `metrics.json` that the gate does not ask for: reported, without bounds, since their rows are not known. */
export const reportedMetrics = (own: OwnMetrics, claimed: Readonly<Record<string, number>>, rows: number) =>
  Object.fromEntries(
    Object.entries(claimed)
      .filter(([name]) => !isMetricName(name) && !Object.hasOwn(own, name))
      .map(([name, value]): [string, MetricValue] => [name, { value, lower: null, upper: null, rows }]),
  );
