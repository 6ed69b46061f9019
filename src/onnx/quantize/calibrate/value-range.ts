/** What a value may be: the ends that its integers will represent. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
}
