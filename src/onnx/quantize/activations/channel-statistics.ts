/** What calibration rows showed of an activation, channel by channel (its last axis). */
export interface ChannelStatistics {
  readonly mean: Float64Array;
  readonly meanSquare: Float64Array;
  readonly largest: Float64Array;
  /** Of each run, its channels' extremes, zero included: an int8 product takes its range from a run, not from all rows. */
  readonly runs: readonly { readonly low: Float32Array; readonly high: Float32Array }[];
}

/** By the activation's name. */
export type ActivationStatistics = ReadonlyMap<string, ChannelStatistics>;

/** Extremes of so many runs are kept: memory stays bounded, and the mean over more of them hardly moves. */
const mostRuns = 256;

/** Adds up runs of one activation. */
export class ChannelObserver {
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private readonly largest: Float64Array;
  private readonly runs: { low: Float32Array; high: Float32Array }[] = [];
  private positions = 0;

  constructor(channels: number) {
    this.sums = new Float64Array(channels);
    this.squares = new Float64Array(channels);
    this.largest = new Float64Array(channels);
  }

  /** @param values float32[.., channels], finite */
  add(values: Float32Array): void {
    const channels = this.sums.length;
    const [low, high] = [new Float32Array(channels), new Float32Array(channels)];
    for (let at = 0; at < values.length; at += channels)
      for (let c = 0; c < channels; c++) {
        const value = values[at + c]!;
        this.sums[c]! += value;
        this.squares[c]! += value * value;
        if (value < low[c]!) low[c] = value;
        if (value > high[c]!) high[c] = value;
      }
    for (let c = 0; c < channels; c++) this.largest[c] = Math.max(this.largest[c]!, high[c]!, -low[c]!);
    this.positions += values.length / channels;
    if (this.runs.length < mostRuns) this.runs.push({ low, high });
  }

  statistics(): ChannelStatistics {
    const count = Math.max(1, this.positions);
    return {
      mean: this.sums.map((sum) => sum / count),
      meanSquare: this.squares.map((sum) => sum / count),
      largest: this.largest,
      runs: this.runs,
    };
  }
}
