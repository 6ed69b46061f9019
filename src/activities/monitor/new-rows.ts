import type { DataRow } from '../data/rows.ts';

/** New rows may be more than memory holds: of the windows, the newest are kept. */
const mostWindows = 20;

/** Rows that are not in the dataset yet, in the order they came, as the windows they make. */
export class NewRows {
  private readonly rows = new Map<string, DataRow>();
  private readonly size: number;
  /** Rows at the front that were let go; whole windows. */
  private gone = 0;

  constructor(size: number) {
    this.size = size;
  }

  add(row: DataRow): void {
    // A row that comes again keeps its place, and has its last word.
    this.rows.set(row.id, row);
    if (this.rows.size < (mostWindows + 1) * this.size) return;
    for (const id of [...this.rows.keys()].slice(0, this.size)) this.rows.delete(id);
    this.gone += this.size;
  }

  /**
   * Full windows, numbered from 1 since the dataset was accepted. Rows whose labels may still change belong to none: no
   * cycle could learn from them yet.
   *
   * @param settled ids of the others, with their labels
   */
  windows(settled: ReadonlyMap<string, string>): { number: number; rows: DataRow[] }[] {
    const rows = [...this.rows.values()].filter(({ id }) => settled.has(id));
    const before = this.gone / this.size;
    return Array.from({ length: Math.floor(rows.length / this.size) }, (_, i) => ({
      number: before + i + 1,
      rows: rows.slice(i * this.size, (i + 1) * this.size),
    }));
  }
}
