/** How the learning rate goes: up from 0 over the first steps, then flat, or down to 0 in a line or half a cosine. */
export const scheduleShapes = ['constant', 'linear', 'cosine'] as const;
export type ScheduleShape = (typeof scheduleShapes)[number];

export interface Schedule {
  readonly shape: ScheduleShape;
  /** The highest rate. */
  readonly learningRate: number;
  readonly steps: number;
  /** Steps until the highest rate is reached. */
  readonly warmupSteps: number;
}

/** The rate of step 1, 2 … `steps`; as transformers' `get_linear_schedule_with_warmup` and `get_cosine_…` have it. */
export function learningRateAt(step: number, { shape, learningRate, steps, warmupSteps }: Schedule): number {
  const done = step - 1;
  if (done < warmupSteps) return (learningRate * done) / warmupSteps;
  if (shape === 'constant') return learningRate;
  const progress = Math.min(1, (done - warmupSteps) / Math.max(1, steps - warmupSteps));
  return learningRate * (shape === 'linear' ? 1 - progress : 0.5 * (1 + Math.cos(Math.PI * progress)));
}
