import { roundHalfToEven } from '../scale.ts';

/** int32 values and the scale of each: that of the sums they are added to. */
export interface QuantizedBias {
  readonly values: Int32Array;
  /** One, or one per channel. */
  readonly scales: Float32Array;
}

/** scale = input scale × weight scale, zero point 0; rounded half to even in double precision, as numpy does it. */
export function quantizeBias(bias: Float32Array, inputScale: number, weightScales: Float32Array): QuantizedBias {
  const scales = weightScales.map((scale) => inputScale * scale);
  const values = Int32Array.from(bias, (value, channel) => {
    const scale = scales[scales.length === 1 ? 0 : channel]!;
    return Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, roundHalfToEven(value / scale)));
  });
  return { values, scales };
}

/**
 * A weight scale large enough that `largestBias` fits 32 bits at input scale × weight scale. Channels whose weights are
 * almost zero need it (a pruned channel with a bias): their own scale would cut the bias off. The rule and its constants
 * are those of `_adjust_weight_scale_for_int32_bias` in onnxruntime 1.30, so that scales stay equal to its.
 */
export function scaleThatFitsBias(weightScale: number, inputScale: number, largestBias: number): number {
  const smallest = (1.0001 * (2 * largestBias)) / (2 ** 32 - 2);
  const product = inputScale * weightScale;
  return product < smallest && product > 0 ? Math.fround(weightScale * (smallest / product)) : weightScale;
}
