import { binomialCurve } from './confidence.ts';
import { holmRejects } from './holm.ts';

/** What reading the rows found; counts only. */
export interface DataCounts {
  rows: number;
  labels:
    | { classCounts: Readonly<Record<string, number>> }
    /** Labels are numbers. */
    | { range: { lowest: number; highest: number } | null };
  /** Rows that repeat the normalised text of another one (`repeatedRows`). */
  repeats: number;
  /** Rows that do not fit the columns, by what is wrong: `isSpam: expected "0" or "1"`. */
  schemaErrors: Readonly<Record<string, number>>;
}

export interface DataLimits {
  minRows: number;
  /** Least share of each class. */
  minClassShare: number;
  /** Not checked without it. */
  maxRepeatShare?: number;
}

export interface DataProblem {
  check: 'schema' | 'minRows' | 'classBalance' | 'labelRange' | 'repeats' | 'labelDisagreement';
  /** `slice=value`, where the problem is one slice's. */
  slice?: string;
  /** Rows concerned: those that would be quarantined. */
  rows: number;
  /** The share or count that was found, and what it was held against. */
  share: number | null;
  limit: number;
  /** For people. */
  message: string;
}

/** Checks before training (DESIGN §5). An empty list means that training may start. */
export function checkTrainingData(counts: DataCounts, limits: DataLimits): DataProblem[] {
  const { rows, labels, repeats, schemaErrors } = counts;
  const problems: DataProblem[] = [];
  for (const [what, bad] of Object.entries(schemaErrors).filter(([, n]) => n > 0))
    problems.push({
      check: 'schema',
      rows: bad,
      share: shareOf(bad, rows),
      limit: 0,
      message: `${bad} of ${rows} rows do not fit the schema: ${what}`,
    });
  if (rows < limits.minRows)
    problems.push({
      check: 'minRows',
      rows,
      share: null,
      limit: limits.minRows,
      message: `${rows} rows to train on, at least ${limits.minRows} are required`,
    });
  problems.push(
    ...('range' in labels
      ? rangeProblems(rows, labels.range)
      : classProblems(rows, labels.classCounts, limits.minClassShare)),
  );
  const { maxRepeatShare } = limits;
  if (maxRepeatShare !== undefined && rows > 0 && repeats / rows > maxRepeatShare)
    problems.push({
      check: 'repeats',
      rows: repeats,
      share: repeats / rows,
      limit: maxRepeatShare,
      message: `${repeats} of ${rows} rows (${percent(repeats / rows)}) repeat another row, at most ${percent(maxRepeatShare)} may`,
    });
  return problems;
}

/** Numbers that are all the same teach as little as one class. */
function rangeProblems(rows: number, range: { lowest: number; highest: number } | null): DataProblem[] {
  if (rows === 0 || (range && range.lowest < range.highest)) return [];
  const message = `all ${rows} rows have one label${range ? `, ${range.lowest}` : ''}: nothing to learn from`;
  return [{ check: 'labelRange', rows, share: 1, limit: 0, message }];
}

function classProblems(rows: number, classCounts: Readonly<Record<string, number>>, minShare: number): DataProblem[] {
  const classes = Object.entries(classCounts).filter(([, n]) => n > 0);
  if (rows > 0 && classes.length < 2)
    return [
      {
        check: 'classBalance',
        rows,
        share: 1,
        limit: minShare,
        message: `all ${rows} rows have one label${classes[0] ? `, ${JSON.stringify(classes[0][0])}` : ''}: nothing to learn from`,
      },
    ];
  return classes
    .filter(([, n]) => n / rows < minShare)
    .map(([label, n]) => ({
      check: 'classBalance',
      rows: n,
      share: n / rows,
      limit: minShare,
      message: `${n} of ${rows} rows (${percent(n / rows)}) have the label ${JSON.stringify(label)}, at least ${percent(minShare)} are required`,
    }));
}

/** New labels against the champion's live answers to the same rows. */
export interface LabelComparison {
  /** `overall` or `slice=value`. */
  slice: string;
  rows: number;
  /** Rows whose label is not the champion's answer. */
  differ: number;
}

/**
 * Slices whose labels contradict the champion more often than the limit, beyond chance: the exact test against the limit
 * at 5 % with Holm's correction over all slices, so a slice of a few rows does not park a cycle, and neither does the
 * unluckiest of many. A paired gate alone cannot see poison that sits in the hold-out too.
 */
export function checkLabelDisagreement(comparisons: readonly LabelComparison[], limit: number): DataProblem[] {
  const tested = comparisons.filter(({ rows }) => rows > 0);
  const rejected = holmRejects(
    tested.map(({ rows, differ }) => binomialCurve(differ, rows).pAbove(limit)),
    0.05,
  );
  return tested
    .filter(({ rows, differ }, i) => rejected[i] && differ / rows > limit)
    .map(({ slice, rows, differ }) => {
      const lower = binomialCurve(differ, rows).lower(0.05);
      return {
        check: 'labelDisagreement',
        ...(slice === 'overall' ? {} : { slice }),
        rows,
        share: differ / rows,
        limit,
        message: `${differ} of ${rows} labels ${slice === 'overall' ? '' : `in ${slice} `}(${percent(differ / rows)}, at least ${percent(lower)} with 95 % confidence) contradict the champion's live answers, at most ${percent(limit)} may`,
      };
    });
}

const shareOf = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);
const percent = (share: number): string => `${Number((100 * share).toPrecision(3))} %`;
