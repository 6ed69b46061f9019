/**
 * Which layers to keep in float when int8 loses too much: the worst 1, 2, 4 … by their sensitivity until the loss holds,
 * then the fewest between the last that did not and the first that did. Every decision follows from the trials so far, so
 * a search that was cut short goes on from its records.
 */

/** What one model of the search was like, on the same rows as the others. */
export interface TrialFigures {
  /** Quality on the rows, 0 to 1, higher is better: accuracy, agreement with float, or cosine similarity. */
  readonly quality: number | null;
  /** Quality lost against float: estimate, and the upper end of its one-sided 95 % interval. */
  readonly loss: number | null;
  readonly lossUpper: number | null;
  readonly sizeBytes: number;
  /** Median of single rows. */
  readonly latencyMs: number;
}

export interface Trial extends TrialFigures {
  /** So many layers stay float, the most sensitive first. */
  readonly keptFloat: number;
  /** The upper bound of its loss is below the margin. */
  readonly holds: boolean;
}

type Tried = Pick<Trial, 'keptFloat' | 'holds'>;
export type NextStep = { readonly try: number } | { readonly done: number | null };

/**
 * What to do after `trials`. `done`: how many layers to keep in float, or null when nothing that was tried holds. A model
 * with all layers in float is no int8 model, so it is not tried. More layers in float are taken to lose less, which the
 * trials may contradict: then the answer holds, but is not surely the fewest.
 */
export function nextStep(trials: readonly Tried[], layers: number, maxTrials: number): NextStep {
  const holding = trials.filter(({ holds }) => holds).map(({ keptFloat }) => keptFloat);
  const fewest = holding.length === 0 ? null : Math.min(...holding);
  const failing = trials.filter(({ keptFloat, holds }) => !holds && (fewest === null || keptFloat < fewest));
  const most = Math.max(-1, ...failing.map(({ keptFloat }) => keptFloat));
  if (trials.length >= maxTrials || layers === 0) return { done: fewest };
  if (fewest === null) {
    if (most >= layers - 1) return { done: null };
    return { try: most < 1 ? most + 1 : Math.min(2 * most, layers - 1) };
  }
  return fewest - most <= 1 ? { done: fewest } : { try: Math.floor((fewest + most) / 2) };
}

/** Runs the trials that are missing. `onTrial` gets each before the next begins: whoever records it there loses one at most. */
export async function searchFewestFloat({
  layers,
  maxTrials,
  margin,
  before,
  measure,
  onTrial,
}: {
  layers: number;
  maxTrials: number;
  /** Quality that may be lost, as a fraction. */
  margin: number;
  before: readonly Trial[];
  measure: (keptFloat: number) => Promise<TrialFigures>;
  onTrial: (trial: Trial) => Promise<void>;
}): Promise<{ chosen: Trial; holds: boolean; trials: readonly Trial[] }> {
  const trials = [...before];
  for (;;) {
    const step = nextStep(trials, layers, maxTrials);
    if ('done' in step) {
      const held = trials.find(({ keptFloat, holds }) => holds && keptFloat === step.done);
      return { chosen: held ?? leastLoss(trials), holds: held !== undefined, trials };
    }
    const figures = await measure(step.try);
    // Written so that NaN and "not known" do not hold.
    const holds = figures.lossUpper !== null && figures.lossUpper < margin;
    const trial = { keptFloat: step.try, holds, ...figures };
    trials.push(trial);
    await onTrial(trial);
  }
}

function leastLoss(trials: readonly Trial[]): Trial {
  const byLoss = [...trials].sort((a, b) => (a.lossUpper ?? 2) - (b.lossUpper ?? 2) || a.keptFloat - b.keptFloat);
  return byLoss[0]!;
}

/** Those that no other beats or equals in quality, size and latency at once. Equal ones: the first. */
export function paretoFront<T extends TrialFigures>(models: readonly T[]): T[] {
  return models.filter((model, i) => !models.some((other, j) => i !== j && beats(other, model, j < i)));
}

function beats(a: TrialFigures, b: TrialFigures, equalCounts: boolean): boolean {
  const differences = [(a.quality ?? 0) - (b.quality ?? 0), b.sizeBytes - a.sizeBytes, b.latencyMs - a.latencyMs];
  return differences.every((d) => d >= 0) && (equalCounts || differences.some((d) => d > 0));
}
