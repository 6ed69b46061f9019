import { shuffled } from '../text-classifier/random.ts';

/** Batches whose rows are sorted by length together: enough to find neighbours, few enough to stay random. */
const bucketBatches = 16;

/**
 * The batches of one epoch: rows in random order, sorted by length within every so many batches, because a batch costs as
 * much as its longest row; then the batches in random order. All rows come once; only the last drawn batch may be smaller.
 */
export function lengthBuckets(lengths: ArrayLike<number>, batchSize: number, random: () => number): Int32Array[] {
  const order = shuffled(lengths.length, random);
  const batches: Int32Array[] = [];
  for (let start = 0; start < order.length; start += batchSize * bucketBatches) {
    const bucket = order.subarray(start, start + batchSize * bucketBatches);
    bucket.sort((a, b) => lengths[a]! - lengths[b]! || a - b);
    for (let at = 0; at < bucket.length; at += batchSize) batches.push(bucket.slice(at, at + batchSize));
  }
  return Array.from(shuffled(batches.length, random), (i) => batches[i]!);
}

/** A batch in parts of at most so many rows. */
export function parts(rows: Int32Array, size: number): Int32Array[] {
  const count = Math.ceil(rows.length / size);
  return Array.from({ length: count }, (_, i) => rows.subarray(i * size, (i + 1) * size));
}
