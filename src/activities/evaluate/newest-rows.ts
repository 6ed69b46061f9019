import type { DataRow } from '../data/rows.ts';

/** The newest rows of a stream, without keeping the rest. */
export class NewestRows {
  private readonly most: number;
  private rows: DataRow[] = [];

  constructor(most: number) {
    this.most = most;
  }

  add(row: DataRow): void {
    this.rows.push(row);
    if (this.rows.length >= 2 * this.most + 1_000) this.rows = this.inOrder();
  }

  /** Newest last; the id settles ties, so that the same data give the same bytes. */
  inOrder(): DataRow[] {
    const inOrder = this.rows.sort((a, b) => compare(a.time, b.time) || compare(a.id, b.id));
    return inOrder.slice(-this.most);
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
