/** Hands out a number of bytes and makes the rest wait their turn: what bounds memory when much is written at once. */
export class ByteBudget {
  #free: number;
  readonly #total: number;
  readonly #waiting: { bytes: number; go: () => void }[] = [];

  constructor(totalBytes: number) {
    this.#total = totalBytes;
    this.#free = totalBytes;
  }

  /** Runs `work` while it holds so many bytes; more than all is all. */
  async hold<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    const release = await this.take(bytes);
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Gives what to call when the bytes are free again; once. */
  async take(bytes: number): Promise<() => void> {
    const wanted = Math.min(bytes, this.#total);
    if (this.#waiting.length > 0 || this.#free < wanted)
      await new Promise<void>((go) => this.#waiting.push({ bytes: wanted, go }));
    else this.#free -= wanted;
    return () => {
      this.#free += wanted;
      for (let next = this.#waiting[0]; next && next.bytes <= this.#free; next = this.#waiting[0]) {
        this.#free -= next.bytes;
        this.#waiting.shift();
        next.go();
      }
    };
  }
}
