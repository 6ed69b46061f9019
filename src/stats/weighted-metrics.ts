import type { GateMetric, MetricName, RowAggregate } from '../contracts/verdict.ts';
import type { ScoredRows } from './scored-rows.ts';

/** Metrics of the rows themselves; latency and size are the others. */
export const rowMetricNames = [
  'accuracy',
  'f1',
  'precision',
  'recall',
  'rocAuc',
  'prAuc',
  'falsePositiveRate',
  'falseNegativeRate',
  'logLoss',
  'calibrationError',
  'rmse',
  'mae',
  'r2',
] as const satisfies readonly MetricName[];
export type RowMetricName = (typeof rowMetricNames)[number];

/** A metric of the user's evaluation program: a number for each row, and how the rows become one. */
export interface OwnMetric {
  value: string;
  aggregate: RowAggregate;
}
export type RowMetric = RowMetricName | OwnMetric;

/** What a requirement measures on rows; undefined for latency and size. */
export function rowMetricOf({ metric, value, aggregate }: GateMetric): RowMetric | undefined {
  if (value !== undefined) return { value, aggregate: aggregate ?? 'mean' };
  return rowMetricNames.find((name) => name === metric);
}

/** Bins of `calibrationError`. */
export const calibrationBins = 10;

/** A metric of rows that count `weights[i]` times each; NaN where it is not defined on such rows. */
export type WeightedMetric = (weights: Uint8Array) => number;

/**
 * The metric as a function of row weights: once with all ones it is the metric, with a resample's counts it is that
 * resample's metric. What depends on the rows alone (sorting) is done here, once.
 * Definitions follow scikit-learn: `prAuc` is average precision, `logLoss` clips at 2⁻⁵², F1, precision and recall of
 * several classes without a positive one are macro averages over the classes that occur as labels.
 */
export function weightedMetric(metric: RowMetric, rows: ScoredRows): WeightedMetric {
  const undefinedHere: WeightedMetric = () => Number.NaN;
  if (typeof metric === 'object') return ownMetric(metric, rows);
  if (metric === 'rmse' || metric === 'mae')
    return rows.task === 'regression' ? errorMetric(metric, rows) : undefinedHere;
  if (metric === 'r2') return rows.task === 'regression' ? r2(rows) : undefinedHere;
  if (rows.task === 'regression') return undefinedHere;
  if (metric === 'accuracy') return shareOf(rows.correct, undefined);
  if (metric === 'calibrationError') return calibrationError(rows);
  const isMacro = metric === 'f1' || metric === 'precision' || metric === 'recall';
  if (rows.positive === undefined)
    return isMacro && rows.task === 'multiclass-classification' ? macro(metric, rows) : undefinedHere;
  switch (metric) {
    case 'recall':
      return shareOf(rows.flagged, (i) => rows.actual[i] === 1);
    case 'falseNegativeRate': {
      const recall = shareOf(rows.flagged, (i) => rows.actual[i] === 1);
      return (w) => 1 - recall(w);
    }
    case 'falsePositiveRate':
      return shareOf(rows.flagged, (i) => rows.actual[i] === 0);
    case 'precision':
      return shareOf(rows.actual, (i) => rows.flagged[i] === 1);
    case 'f1':
      return f1(rows);
  }
  // The score is the positive class's probability for two classes only.
  if (rows.task !== 'binary-classification') return undefinedHere;
  return metric === 'logLoss' ? logLoss(rows) : rankingMetric(metric, rows);
}

function shareOf(hit: Uint8Array, among: ((row: number) => boolean) | undefined): WeightedMetric {
  const counted = Uint8Array.from(hit, (_, i) => (among === undefined || among(i) ? 1 : 0));
  return (weights) => {
    let hits = 0;
    let total = 0;
    for (let i = 0; i < counted.length; i++) {
      const w = weights[i]! * counted[i]!;
      total += w;
      hits += w * hit[i]!;
    }
    return total > 0 ? hits / total : Number.NaN;
  };
}

function f1({ actual, flagged }: ScoredRows): WeightedMetric {
  const both = actual.map((a, i) => a & flagged[i]!);
  const either = actual.map((a, i) => a + flagged[i]!);
  return (weights) => {
    let hits = 0;
    let sum = 0;
    for (let i = 0; i < both.length; i++) {
      const w = weights[i]!;
      hits += w * both[i]!;
      sum += w * either[i]!;
    }
    return sum > 0 ? (2 * hits) / sum : Number.NaN;
  };
}

function macro(metric: 'f1' | 'precision' | 'recall', { outcomes }: ScoredRows): WeightedMetric {
  const classes = [...new Set(outcomes.map((o) => o.label))].sort();
  const label = Int32Array.from(outcomes, (o) => classes.indexOf(o.label));
  const predicted = Int32Array.from(outcomes, (o) => classes.indexOf(o.predicted));
  return (weights) => {
    const both = new Float64Array(classes.length);
    const asLabel = new Float64Array(classes.length);
    const asPrediction = new Float64Array(classes.length);
    for (let i = 0; i < label.length; i++) {
      const w = weights[i]!;
      const [l, p] = [label[i]!, predicted[i]!];
      asLabel[l]! += w;
      if (p >= 0) asPrediction[p]! += w;
      if (l === p) both[l]! += w;
    }
    let sum = 0;
    let present = 0;
    for (let k = 0; k < classes.length; k++) {
      if (asLabel[k] === 0) continue;
      present++;
      const denominator =
        metric === 'recall'
          ? asLabel[k]!
          : metric === 'precision'
            ? asPrediction[k]!
            : (asLabel[k]! + asPrediction[k]!) / 2;
      if (denominator > 0) sum += both[k]! / denominator;
    }
    return present > 0 ? sum / present : Number.NaN;
  };
}

/** Σ weight · value / Σ weight, for values that rows have whatever the weights. */
function meanOf(values: Float64Array): WeightedMetric {
  return (weights) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < values.length; i++) {
      const w = weights[i]!;
      sum += w * values[i]!;
      total += w;
    }
    return total > 0 ? sum / total : Number.NaN;
  };
}

function errorMetric(metric: 'rmse' | 'mae', { score, target }: ScoredRows): WeightedMetric {
  if (metric === 'mae') return meanOf(score.map((s, i) => Math.abs(s - target[i]!)));
  const squared = meanOf(score.map((s, i) => (s - target[i]!) ** 2));
  return (weights) => Math.sqrt(squared(weights));
}

/** Share of the targets' variance that is explained; below zero where their mean would have been the better answer. */
function r2({ score, target }: ScoredRows): WeightedMetric {
  const squared = meanOf(score.map((s, i) => (s - target[i]!) ** 2));
  const mean = meanOf(target);
  return (weights) => {
    const center = mean(weights);
    let spread = 0;
    let total = 0;
    for (let i = 0; i < target.length; i++) {
      spread += weights[i]! * (target[i]! - center) ** 2;
      total += weights[i]!;
    }
    return spread > 0 ? 1 - squared(weights) / (spread / total) : Number.NaN;
  };
}

/** The rows' own numbers; NaN where a row has none, so that the metric is not defined. */
const valuesOf = ({ value }: OwnMetric, { outcomes }: ScoredRows): Float64Array =>
  Float64Array.from(outcomes, ({ values }) => values?.[value] ?? Number.NaN);

function ownMetric(metric: OwnMetric, rows: ScoredRows): WeightedMetric {
  const mean = meanOf(valuesOf(metric, rows));
  return metric.aggregate === 'mean' ? mean : (weights) => Math.sqrt(mean(weights));
}

const isProbability = (s: number) => s >= 0 && s <= 1;

function logLoss({ score, actual }: ScoredRows): WeightedMetric {
  const least = 2 ** -52;
  return meanOf(
    score.map((s, i) => {
      if (!isProbability(s)) return Number.NaN;
      const clipped = Math.min(1 - least, Math.max(least, s));
      return -Math.log(actual[i] === 1 ? clipped : 1 - clipped);
    }),
  );
}

/** Row numbers by falling score, and for each place whether a lower score follows. */
function byFallingScore(score: Float64Array): { order: Int32Array; last: Uint8Array } {
  const order = Int32Array.from(score.keys()).sort((a, b) => score[b]! - score[a]!);
  const last = Uint8Array.from(order, (row, i) =>
    i + 1 === order.length || score[order[i + 1]!] !== score[row] ? 1 : 0,
  );
  return { order, last };
}

function rankingMetric(metric: 'rocAuc' | 'prAuc', { score, actual }: ScoredRows): WeightedMetric {
  if (!score.every(Number.isFinite)) return () => Number.NaN;
  const { order, last } = byFallingScore(score);
  const isPositive = Uint8Array.from(order, (row) => actual[row]!);
  return (weights) => {
    let positives = 0;
    let negatives = 0;
    let groupPositives = 0;
    let groupNegatives = 0;
    let area = 0;
    for (let i = 0; i < order.length; i++) {
      const w = weights[order[i]!]!;
      const positive = w * isPositive[i]!;
      groupPositives += positive;
      groupNegatives += w - positive;
      if (last[i] === 0) continue;
      if (metric === 'rocAuc') area += groupNegatives * (positives + groupPositives / 2);
      positives += groupPositives;
      negatives += groupNegatives;
      if (metric === 'prAuc' && groupPositives > 0) area += (groupPositives * positives) / (positives + negatives);
      groupPositives = 0;
      groupNegatives = 0;
    }
    if (positives === 0 || negatives === 0) return Number.NaN;
    return area / (metric === 'rocAuc' ? positives * negatives : positives);
  };
}

/**
 * Expected calibration error over bins of equal mass: the mean gap between what the scores promise and what happens. Two
 * classes: the positive class's probability against its share; several: the predicted class's against its accuracy. Rows
 * of one score stay in one bin, so the result does not depend on their order.
 */
function calibrationError({ task, positive, score, actual, correct }: ScoredRows): WeightedMetric {
  if (task === 'binary-classification' && positive === undefined) return () => Number.NaN;
  if (!score.every(isProbability)) return () => Number.NaN;
  const { order, last } = byFallingScore(score);
  const happened = Uint8Array.from(order, (row) => (task === 'binary-classification' ? actual : correct)[row]!);
  const promises = Float64Array.from(order, (row) => score[row]!);
  return (weights) => {
    let total = 0;
    for (let i = 0; i < weights.length; i++) total += weights[i]!;
    if (total === 0) return Number.NaN;
    let gap = 0;
    let seen = 0;
    let binEnd = total / calibrationBins;
    let promised = 0;
    let kept = 0;
    for (let i = 0; i < order.length; i++) {
      const w = weights[order[i]!]!;
      seen += w;
      promised += w * promises[i]!;
      kept += w * happened[i]!;
      if (last[i] === 0 || (seen < binEnd && i + 1 < order.length)) continue;
      binEnd = ((Math.floor((seen * calibrationBins) / total) + 1) * total) / calibrationBins;
      gap += Math.abs(promised - kept);
      promised = 0;
      kept = 0;
    }
    return gap / total;
  };
}
