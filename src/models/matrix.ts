import type { Backtest, BacktestCell, Standing } from './backtest.ts';

/** How a standing is marked beside its number; a score as in use has no mark. */
export const marks: Readonly<Record<Standing, string>> = { ahead: '', trainedAfter: '·', trainedOn: '!', unknown: '?' };

export const markWords: Readonly<Record<Standing, string>> = {
  ahead: 'rows newer than all it was trained with',
  trainedAfter: 'trained with data of that time or later; these rows were held out',
  trainedOn: 'some of these rows were in its training data: no measure of it',
  unknown: 'what it was trained with is gone from the store',
};

/** One metric of a backtest as numbers: by version, by period. */
export interface Matrix {
  metric: string;
  lowerIsBetter: boolean;
  periods: string[];
  versions: { version: number; values: (MatrixValue | null)[] }[];
}

export interface MatrixValue {
  /** Null: not defined on these rows. */
  value: number | null;
  standing: Standing;
  rows: number;
}

export function matrixOf({ periods, versions }: Backtest, metric: string, lowerIsBetter: boolean): Matrix {
  const entry = (cell: BacktestCell | null): MatrixValue | null =>
    cell && { value: cell.metrics[metric]?.value ?? null, standing: cell.standing, rows: cell.rows };
  return {
    metric,
    lowerIsBetter,
    periods: periods.map(({ name }) => name),
    versions: versions.map(({ version, cells }) => ({ version, values: cells.map(entry) })),
  };
}

/** Standings that occur, in the order of the legend. */
export const standingsIn = ({ versions }: Matrix): Standing[] =>
  (Object.keys(marks) as Standing[]).filter((standing) =>
    versions.some(({ values }) => values.some((value) => value?.standing === standing)),
  );

/** Enough digits to tell neighbours apart: shares with four places, other numbers with four digits. */
export const shown = ({ value }: Pick<MatrixValue, 'value'>): string =>
  value === null ? 'n/a' : Math.abs(value) <= 1 ? value.toFixed(4) : value.toPrecision(4);
