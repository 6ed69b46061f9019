import type { Evaluation } from '../../contracts/manifests.ts';
import type { ModelSignature } from '../../contracts/model.ts';

/** Key of the statistics file by task, and SageMaker's own words for metrics of ours. */
const formats = {
  'binary-classification': 'binary_classification_metrics',
  'multiclass-classification': 'multiclass_classification_metrics',
  regression: 'regression_metrics',
} as const;
const standardNormal95 = 1.959964;

/**
 * An evaluation as the statistics file of a model quality report, which Studio shows beside a version
 * (dg/model-monitor-model-quality-metrics). Metrics that are not defined on these rows are left out; the standard deviation
 * is that of a normal with our two-sided 95 % interval. Pure.
 */
export function modelQuality({ metrics }: Pick<Evaluation, 'metrics'>, task: ModelSignature['task']): object {
  return {
    [formats[task]]: Object.fromEntries(
      Object.entries(metrics).flatMap(([name, { value, lower, upper }]) =>
        value === null
          ? []
          : [
              [
                name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
                {
                  value,
                  standard_deviation:
                    lower === null || upper === null ? 'NaN' : (upper - lower) / (2 * standardNormal95),
                },
              ],
            ],
      ),
    ),
  };
}
