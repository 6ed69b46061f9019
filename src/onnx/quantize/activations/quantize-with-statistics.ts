import type { Model } from '../../model.ts';
import { type DynamicQuantizationOptions, quantizeDynamic } from '../dynamic.ts';
import type { QuantizationReport } from '../report.ts';
import type { ActivationStatistics } from './channel-statistics.ts';
import { correctBiases } from './correct-bias.ts';
import { type SmoothedActivation, smoothActivations } from './smooth.ts';

export interface StatisticsOptions extends DynamicQuantizationOptions {
  /** `search`, the default; SmoothQuant's α, 0 to 1, for all activations; `off`. */
  readonly smooth?: 'search' | 'off' | number;
  /** Default true. */
  readonly correctBias?: boolean;
}

/**
 * Dynamic quantization by what calibration rows showed (`observeActivations`): outlier channels are smoothed where that
 * pays, and biases take back what the weights' rounding shifts. Otherwise as `quantizeDynamic`.
 */
export function quantizeWithStatistics(
  model: Model,
  statistics: ActivationStatistics,
  { smooth = 'search', correctBias = true, ...options }: StatisticsOptions = {},
): {
  model: Model;
  report: QuantizationReport;
  smoothed: readonly SmoothedActivation[];
  /** Products whose bias took back a shift. */
  corrected: readonly string[];
} {
  const even =
    smooth === 'off'
      ? { model, statistics, smoothed: [] }
      : smoothActivations(model, statistics, { ...options, strength: smooth === 'search' ? undefined : smooth });
  const straight = correctBias
    ? correctBiases(even.model, even.statistics, options)
    : { model: even.model, corrected: [] };
  const { model: quantized, report } = quantizeDynamic(straight.model, options);
  return { model: quantized, report, smoothed: even.smoothed, corrected: straight.corrected };
}
