import { StatsInputError } from './errors.ts';

/** Half a row in every cell: a category that one side never had would otherwise be infinitely far away. */
const halfARow = 0.5;

/**
 * Population stability index, Σ (l − r)·ln(l / r) over the cells' shares: the symmetric Kullback–Leibler (Jeffreys)
 * divergence in nats. By custom below 0.1 is "no shift", above 0.2 or 0.25 a large one; where that custom comes from and
 * what chance alone gives, about (cells − 1)·(1/reference + 1/live): B. Yurdakul and J. Naranjo, "Statistical properties
 * of the population stability index", Journal of Risk Model Validation 14 (2020) 89–100.
 *
 * @param reference counts by cell
 * @param live counts of the same cells, in the same order
 */
export function populationStability(reference: readonly number[], live: readonly number[]): number {
  const [r, l] = [smoothedShares(reference, live), smoothedShares(live, reference)];
  return r.reduce((sum, share, i) => sum + (l[i]! - share) * Math.log(l[i]! / share), 0);
}

/**
 * Jensen–Shannon distance in [0, 1]: the square root of the divergence to base 2 (J. Lin, "Divergence measures based on the
 * Shannon entropy", IEEE Transactions on Information Theory 37 (1991) 145–151; D. Endres and J. Schindelin (2003) show
 * that the root is a metric). No smoothing is needed: the mixture has mass wherever either side has.
 */
export function jensenShannonDistance(reference: readonly number[], live: readonly number[]): number {
  requireCounts(reference, live);
  const [n, m] = [total(reference), total(live)];
  let divergence = 0;
  for (const [i, count] of reference.entries()) {
    const [r, l] = [count / n, live[i]! / m];
    const middle = (r + l) / 2;
    if (r > 0) divergence += (r / 2) * Math.log2(r / middle);
    if (l > 0) divergence += (l / 2) * Math.log2(l / middle);
  }
  return Math.sqrt(Math.max(0, divergence));
}

/** Cells that numbers are counted in: tenths of the reference, fewer where many rows have the same number. */
export const cellsOfNumbers = 10;

/**
 * Upper edges of the cells, rising; the last cell has none. An edge belongs to the cell below it.
 *
 * @param sorted the reference, rising
 */
export function cellEdges(sorted: ArrayLike<number>): number[] {
  const edges: number[] = [];
  for (let i = 1; i < cellsOfNumbers; i++) {
    const edge = sorted[Math.ceil((i * sorted.length) / cellsOfNumbers) - 1];
    if (edge !== undefined && edge !== edges.at(-1)) edges.push(edge);
  }
  return edges;
}

/** How many of the numbers lie in each cell. */
export function cellCounts(edges: readonly number[], values: ArrayLike<number>): number[] {
  const counts = new Array<number>(edges.length + 1).fill(0);
  for (let i = 0; i < values.length; i++) {
    let [low, high] = [0, edges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[i]! <= edges[middle]!) high = middle;
      else low = middle + 1;
    }
    counts[low]!++;
  }
  return counts;
}

function smoothedShares(counts: readonly number[], others: readonly number[]): number[] {
  requireCounts(counts, others);
  const all = total(counts) + halfARow * counts.length;
  return counts.map((count) => (count + halfARow) / all);
}

function requireCounts(reference: readonly number[], live: readonly number[]): void {
  if (reference.length !== live.length)
    throw new StatsInputError(
      `cells: got ${reference.length} and ${live.length}, expected the same ones on both sides`,
    );
  for (const counts of [reference, live])
    if (!counts.every((n) => n >= 0 && Number.isFinite(n)) || total(counts) === 0)
      throw new StatsInputError('counts: expected zero or more in every cell and some in one');
}

const total = (counts: readonly number[]): number => counts.reduce((sum, n) => sum + n, 0);
