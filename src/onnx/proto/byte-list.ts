/**
 * Pieces of one repeated field, put together. The usual single piece stays a view; many small ones (a field that is not
 * packed has one per element) are copied into one growing buffer, because a view each would take 50 times their size.
 */
export class ByteList {
  private buffer = new Uint8Array(0);
  private length = 0;
  private isView = false;

  append(piece: Uint8Array): void {
    if (this.length === 0) {
      this.buffer = piece as Uint8Array<ArrayBuffer>;
      this.length = piece.length;
      this.isView = true;
      return;
    }
    const needed = this.length + piece.length;
    if (this.isView || needed > this.buffer.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.length));
      grown.set(this.buffer.subarray(0, this.length));
      this.buffer = grown;
      this.isView = false;
    }
    this.buffer.set(piece, this.length);
    this.length = needed;
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }

  get isEmpty(): boolean {
    return this.length === 0;
  }
}
