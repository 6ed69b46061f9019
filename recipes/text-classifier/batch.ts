import { randomStream } from './random.ts';

/** One batch as the training graph wants it. */
export interface Batch {
  /** Ids of the table's rows that the batch touches, each once, in order of first appearance. */
  touched: Int32Array;
  /** float32[rows, touched]; a view that the next batch overwrites. */
  bags: Float32Array;
}

export interface BatchOptions {
  /** Rows of the embedding table. */
  buckets: number;
  /** Share of a row's tokens that a step does not see. */
  tokenDropout: number;
  /** A token in fewer rows than this keeps its zero embedding: it could only be learned by heart. */
  minRows: number;
  seed: number;
}

/** Builds batches; holds the buffers that are reused from step to step. */
export class BatchBuilder {
  private readonly bagsOfIds: readonly Int32Array[];
  private readonly isLearned: Uint8Array;
  private readonly tokenDropout: number;
  private readonly seed: number;
  /** Where an id is in the current batch; valid where `stamp` holds the current batch's number. */
  private readonly place: Int32Array;
  private readonly stamp: Int32Array;
  private batchNumber = 0;
  private matrix = new Float32Array(0);

  constructor(bagsOfIds: readonly Int32Array[], { buckets, tokenDropout, minRows, seed }: BatchOptions) {
    this.bagsOfIds = bagsOfIds;
    this.isLearned = tokensIn(bagsOfIds, minRows, buckets);
    this.tokenDropout = tokenDropout;
    this.seed = seed;
    this.place = new Int32Array(buckets);
    this.stamp = new Int32Array(buckets);
  }

  /** The batch of the given rows; `step` names its dropout, so that a resumed training drops the same tokens. */
  build(rows: Int32Array, step: number): Batch {
    const kept = this.dropTokens(rows, step);
    const touched = this.placesOf(kept);
    const matrix = this.emptyMatrix(rows.length * touched.length);
    for (const [r, ids] of kept.entries()) {
      // All tokens count, as they do when the model is served; those that are not learned add zero.
      const weight = 1 / Math.sqrt(ids.length);
      for (const id of ids) if (this.isLearned[id] === 1) matrix[r * touched.length + this.place[id]!] = weight;
    }
    return { touched, bags: matrix };
  }

  private dropTokens(rows: Int32Array, step: number): Int32Array[] {
    const random = randomStream(this.seed, 2, step);
    return Array.from(rows, (row) => {
      const ids = this.bagsOfIds[row]!;
      return this.tokenDropout === 0 ? ids : sample(ids, 1 - this.tokenDropout, random);
    });
  }

  private placesOf(kept: readonly Int32Array[]): Int32Array {
    this.batchNumber++;
    const touched: number[] = [];
    for (const ids of kept)
      for (const id of ids) {
        if (this.isLearned[id] === 0 || this.stamp[id] === this.batchNumber) continue;
        this.stamp[id] = this.batchNumber;
        this.place[id] = touched.push(id) - 1;
      }
    // A batch without a single token still has a shape.
    return Int32Array.from(touched.length > 0 ? touched : [0]);
  }

  private emptyMatrix(length: number): Float32Array {
    if (this.matrix.length < length) this.matrix = new Float32Array(Math.ceil(length * 1.5));
    return this.matrix.subarray(0, length).fill(0);
  }
}

function sample(ids: Int32Array, share: number, random: () => number): Int32Array {
  const kept = new Int32Array(ids.length);
  let count = 0;
  for (const id of ids) if (random() < share) kept[count++] = id;
  return kept.subarray(0, count);
}

/** 1 for each token that is in so many rows or more. */
function tokensIn(bagsOfIds: readonly Int32Array[], minRows: number, buckets: number): Uint8Array {
  const rows = new Int32Array(buckets);
  for (const ids of bagsOfIds) for (const id of ids) rows[id]!++;
  return Uint8Array.from(rows, (count) => Number(count >= minRows));
}
