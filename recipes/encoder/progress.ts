import { z } from 'zod';

/** Where a training stands between two steps; with weights and moments it makes a resumed run exact. */
export const Progress = z.strictObject({
  /** Steps done. */
  step: z.number().int().nonnegative(),
  /** Of the running epoch: sum of the losses by row, rows seen, rows right. */
  loss: z.number(),
  rows: z.number().int().nonnegative(),
  correct: z.number().int().nonnegative(),
  /** The losses of the last steps, the newest counting a tenth. */
  recentLoss: z.number(),
  /** Of the last validation. */
  validationLoss: z.number().nullable(),
  validationAccuracy: z.number().nullable(),
  bestLoss: z.number().nullable(),
  bestEpoch: z.number().int().nullable(),
  /** Epochs since then. */
  waited: z.number().int().nonnegative(),
  isOver: z.boolean(),
});
export type Progress = z.infer<typeof Progress>;

export const atStart = (): Progress => ({
  step: 0,
  loss: 0,
  rows: 0,
  correct: 0,
  recentLoss: 0,
  validationLoss: null,
  validationAccuracy: null,
  bestLoss: null,
  bestEpoch: null,
  waited: 0,
  isOver: false,
});

/** Counts an epoch's validation; whether its weights are the best so far. */
export function countValidation(progress: Progress, epoch: number, loss: number, accuracy: number): boolean {
  const isBest = progress.bestLoss === null || loss < progress.bestLoss;
  Object.assign(progress, { validationLoss: loss, validationAccuracy: accuracy });
  if (isBest) Object.assign(progress, { bestLoss: loss, bestEpoch: epoch, waited: 0 });
  else progress.waited++;
  return isBest;
}

/** A loss this many times that of guessing, over some steps, does not come back. */
const explosion = 10;

/** Why a training has to end after this step, if it has. */
export function divergence(
  progress: Progress,
  loss: number,
  gradientNorm: number,
  classes: number,
): string | undefined {
  if (!Number.isFinite(loss)) return `the loss is ${loss}`;
  if (!Number.isFinite(gradientNorm)) return `the norm of the gradients is ${gradientNorm}`;
  const limit = explosion * Math.log(classes);
  return progress.recentLoss > limit
    ? `the loss exploded: ${progress.recentLoss.toPrecision(3)} lately, ${Math.log(classes).toPrecision(3)} is guessing`
    : undefined;
}
