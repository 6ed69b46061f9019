/** Of a batch, the rows whose highest score is that of their label. `logits` is [rows, classes], `labels` that of every row. */
export function countCorrect(logits: Float32Array, rows: Int32Array, labels: Int32Array, classes: number): number {
  let correct = 0;
  for (const [r, row] of rows.entries()) {
    const scores = logits.subarray(r * classes, (r + 1) * classes);
    if (scores.indexOf(Math.max(...scores)) === labels[row]) correct++;
  }
  return correct;
}
