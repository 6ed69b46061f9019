/** Runs asynchronous pieces of work one after the other, in the order in which they were given. */
export class SerialWork {
  private last: Promise<unknown> = Promise.resolve();

  async run<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.last.then(work);
    this.last = mine.catch(() => {});
    return mine;
  }
}
