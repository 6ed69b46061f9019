/**
 * The scalar arithmetic of 8-bit quantization, `real = scale × (quantized − zeroPoint)`, as onnxruntime's quantizer does
 * it (python/tools/quantization/quant_utils.py, 1.30), so that our integers equal its integers bit for bit.
 */
export type QuantizedType = 'int8' | 'uint8';

export interface QuantizationScheme {
  readonly type: QuantizedType;
  /** Range [-a, a] around zero (weights), or the range as it is (activations). */
  readonly symmetric: boolean;
  /** 7 bits: two products u8 × s8 then fit the saturating int16 sums of x64 CPUs without VNNI. */
  readonly reduceRange: boolean;
}

export interface IntegerRange {
  readonly min: number;
  readonly max: number;
}

export function integerRange({ type, symmetric, reduceRange }: QuantizationScheme): IntegerRange {
  if (type === 'uint8') return { min: 0, max: reduceRange ? 127 : 255 };
  if (reduceRange) return { min: -64, max: 64 };
  return { min: symmetric ? -127 : -128, max: 127 };
}

/** Smallest normal float32. A channel below it is zero for every purpose, and its scale would lose its digits. */
const float32Tiny = 2 ** -126;

/**
 * Scale (a float32) and zero point for values in [min, max]. Zero is always representable. A range that is all zero, or
 * as good as, gets scale 1 and zero point 0.
 */
export function quantizationParameters(
  min: number,
  max: number,
  scheme: QuantizationScheme,
): { scale: number; zeroPoint: number } {
  const range = integerRange(scheme);
  let low = Math.min(Math.fround(min), 0);
  let high = Math.max(Math.fround(max), 0);
  if (scheme.symmetric) {
    high = Math.max(-low, high);
    low = -high;
  }
  // numpy subtracts in float32, divides in float64, and rounds the scale to float32 after the zero point.
  const scale = Math.fround(high - low) / (range.max - range.min);
  if (scale < float32Tiny) return { scale: 1, zeroPoint: 0 };
  const zeroPoint = scheme.symmetric ? (range.min + range.max) / 2 : range.min - low / scale;
  return { scale: Math.fround(scale), zeroPoint: roundHalfToEven(zeroPoint) };
}

/** One value; the division is rounded to float32, as numpy's is, before it is rounded to an integer. */
export function quantizeValue(value: number, scale: number, zeroPoint: number, range: IntegerRange): number {
  const quantized = roundHalfToEven(Math.fround(value / scale)) + zeroPoint;
  return Math.max(range.min, Math.min(range.max, quantized));
}

/**
 * One weight with zero point 0 and the range [-limit, limit]: `quantizeValue` without what the loops over millions of
 * finite values need not pay for. The quotient must be below 2^51.
 */
export function quantizeSymmetric(value: number, scale: number, limit: number): number {
  const quantized = Math.fround(value / scale) + noFraction - noFraction;
  return Math.max(-limit, Math.min(limit, quantized));
}

/** 1.5 × 2^52: adding it leaves no bits for a fraction, and IEEE 754 rounds ties to even. */
const noFraction = 6_755_399_441_055_744;

/** Ties go to the even neighbour, as in numpy and in ONNX's QuantizeLinear; `Math.round` sends them up. */
export function roundHalfToEven(value: number): number {
  return Math.abs(value) < 2 ** 51 ? value + noFraction - noFraction : value;
}
