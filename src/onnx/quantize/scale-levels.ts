/** Scales of many rows as a byte each. */
export interface ScaleLevels {
  /** 256 scales, ascending in equal ratios. */
  readonly levels: Float32Array;
  /** Which level a row has: the lowest that is not below the scale it asked for, so nothing is clipped. */
  readonly codes: Uint8Array;
}

/** From so many rows on four bytes a row weigh more than 256 levels and what a second lookup takes. */
export const fewestCodedRows = 4_096;

/**
 * @param scales one a row, positive; 0 for rows without any weight, whose level does not matter
 *
 * Between the smallest and the largest scale of an embedding table lies a factor of ten, not more: levels are a hundredth
 * apart, and a row's step is wider by so much at most.
 */
export function scaleLevels(scales: Float32Array): ScaleLevels {
  let [low, high] = [Number.POSITIVE_INFINITY, 0];
  for (const scale of scales) {
    if (scale > 0 && scale < low) low = scale;
    if (scale > high) high = scale;
  }
  const levels = new Float32Array(256);
  if (high === 0) return { levels: levels.fill(1), codes: new Uint8Array(scales.length) };
  for (let i = 0; i < 255; i++) levels[i] = low * (high / low) ** (i / 255);
  levels[255] = high;
  return { levels, codes: Uint8Array.from(scales, (scale) => lowestAtLeast(levels, scale)) };
}

function lowestAtLeast(levels: Float32Array, scale: number): number {
  let [from, to] = [0, 255];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (levels[middle]! >= scale) to = middle;
    else from = middle + 1;
  }
  return from;
}
