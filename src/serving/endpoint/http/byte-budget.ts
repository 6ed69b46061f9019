/** Memory that all requests together may hold. */
export class ByteBudget {
  private readonly limit: number;
  private taken = 0;

  constructor(limitBytes: number) {
    this.limit = limitBytes;
  }

  /** False, and nothing taken, when it would be too much. */
  take(bytes: number): boolean {
    if (this.taken + bytes > this.limit) return false;
    this.taken += bytes;
    return true;
  }
  give(bytes: number): void {
    this.taken -= bytes;
  }
}
