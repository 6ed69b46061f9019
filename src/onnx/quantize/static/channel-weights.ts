import { integerRange, quantizationParameters, quantizeValue } from '../scale.ts';

/** How far the integers are from the floats: Σ(w−ŵ)² against Σw², in dB; null when nothing was lost. */
export interface ChannelWeights {
  readonly values: Int8Array;
  /** One per channel, or one for all. */
  readonly scales: Float32Array;
  readonly sqnrDb: number | null;
}

export interface ChannelLayout {
  /** Number of channels; 1 for one scale for the whole tensor. */
  readonly channels: number;
  /** Elements that lie together before the channel changes. */
  readonly inner: number;
}

/** Layout of channels along `axis` of a tensor of these dimensions. */
export function layoutOf(dims: readonly number[], axis: number): ChannelLayout {
  return { channels: dims[axis]!, inner: dims.slice(axis + 1).reduce((product, dim) => product * dim, 1) };
}

/**
 * Symmetric int8 of a tensor of any rank, bit for bit as onnxruntime's quantizer does it. `adjustScale` may enlarge a
 * channel's scale before its numbers are rounded.
 */
export function quantizeChannels(
  weights: Float32Array,
  { channels, inner }: ChannelLayout,
  { reduceRange }: { reduceRange: boolean },
  adjustScale: (scale: number, channel: number) => number,
): ChannelWeights {
  const scheme = { type: 'int8', symmetric: true, reduceRange } as const;
  const range = integerRange(scheme);
  const largest = new Float32Array(channels);
  for (let start = 0, channel = 0; start < weights.length; start += inner, channel = (channel + 1) % channels) {
    let max = largest[channel]!;
    for (let i = start; i < start + inner; i++) {
      const magnitude = Math.abs(weights[i]!);
      if (magnitude > max) max = magnitude;
    }
    largest[channel] = max;
  }
  const scales = largest.map((max, channel) => adjustScale(quantizationParameters(-max, max, scheme).scale, channel));
  const values = new Int8Array(weights.length);
  let signal = 0;
  let noise = 0;
  for (let start = 0, channel = 0; start < weights.length; start += inner, channel = (channel + 1) % channels) {
    const scale = scales[channel]!;
    for (let i = start; i < start + inner; i++) {
      const weight = weights[i]!;
      const quantized = quantizeValue(weight, scale, 0, range);
      values[i] = quantized;
      signal += weight * weight;
      noise += (weight - scale * quantized) ** 2;
    }
  }
  return { values, scales, sqnrDb: noise === 0 ? null : 10 * Math.log10(signal / noise) };
}
