import type { LoopSpec } from '../../../contracts/loop-spec.ts';
import { type RowMetricName, rowMetricNames } from '../../../stats/weighted-metrics.ts';
import { InvalidArgument } from '../../errors.ts';
import { nearest } from '../../nearest.ts';

/**
 * What a comparison over rows shows: `--metric`, else those of the gate that goto3 computes from rows, in its order, at
 * least one. Latency and size are no matter of rows. @throws InvalidArgument
 */
export function rowMetrics(asked: string | undefined, { gate, data }: LoopSpec): [RowMetricName, ...RowMetricName[]] {
  if (asked !== undefined) {
    const metric = named(asked);
    if (metric !== undefined) return [metric];
    throw new InvalidArgument(
      `--metric ${asked}: expected one that goto3 computes from rows${nearest(asked, rowMetricNames)}: ${rowMetricNames.join(', ')}`,
    );
  }
  const ofGate = gate.metrics.flatMap(({ metric, value }) => (value === undefined ? (named(metric) ?? []) : []));
  const [first, ...more] = new Set(ofGate);
  return first === undefined ? [data.task === 'regression' ? 'rmse' : 'accuracy'] : [first, ...more];
}

const named = (asked: string): RowMetricName | undefined => rowMetricNames.find((name) => name === asked);

/** @throws InvalidArgument for anything but 1, 2, 3 … */
export function wholeNumber(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new InvalidArgument(`${option} ${JSON.stringify(text)}: expected a number such as 20`);
  return Number(text);
}
