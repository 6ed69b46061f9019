/** What a batch's rows should say, and how much each counts. */
export interface Targets {
  /** float32[rows, classes], each row summing to 1. */
  targets: Float32Array;
  /** float32[rows], 1 on average over the training rows. */
  rowWeights: Float32Array;
}

export interface TargetOptions {
  classes: number;
  /** Share of a row's target that goes to all classes alike. */
  labelSmoothing: number;
  /** 0: every row counts alike; 1: every class does. */
  classBalance: number;
}

/** Turns the class of each training row into what a batch needs. */
export class TargetBuilder {
  private readonly labels: Int32Array;
  private readonly options: TargetOptions;
  private readonly classWeights: Float64Array;

  constructor(labels: Int32Array, options: TargetOptions) {
    this.labels = labels;
    this.options = options;
    this.classWeights = classWeights(labels, options);
  }

  build(rows: Int32Array): Targets {
    const { classes, labelSmoothing } = this.options;
    const targets = new Float32Array(rows.length * classes).fill(labelSmoothing / classes);
    const rowWeights = new Float32Array(rows.length);
    for (const [r, row] of rows.entries()) {
      const label = this.labels[row]!;
      targets[r * classes + label]! += 1 - labelSmoothing;
      rowWeights[r] = this.classWeights[label]!;
    }
    return { targets, rowWeights };
  }
}

/** (rows / rows of the class) to the power of `classBalance`, scaled so that the rows' mean is 1. */
function classWeights(labels: Int32Array, { classes, classBalance }: TargetOptions): Float64Array {
  const counts = new Float64Array(classes);
  for (const label of labels) counts[label]!++;
  const weights = counts.map((count) => (count === 0 ? 0 : (labels.length / count) ** classBalance));
  const mean = weights.reduce((sum, weight, c) => sum + weight * counts[c]!, 0) / labels.length;
  return weights.map((weight) => weight / mean);
}
