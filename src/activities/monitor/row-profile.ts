import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { DriftSubject } from '../../stats/drift.ts';
import type { DataRow } from '../data/rows.ts';
import { termRows, unknownShare, wordsOf } from './text-parts.ts';

/** More values than this are no categories but a text, or names that never repeat. */
const mostCategories = 50;
/** And a category comes back at least this often. */
const rowsPerCategory = 10;

type Value = string | number | boolean | null;
/** What can be said of a column's values in new rows. */
type Column = (values: readonly Value[]) => DriftSubject[];

/**
 * What the rows of a dataset look like, column by column, ready to be compared with windows of new ones: numbers as they
 * are, few values as categories, texts by length, share of unknown words, and which words they have. Labels too.
 */
export class RowProfile {
  private readonly columns: ReadonlyMap<string, Column>;
  private readonly label: Column;

  constructor(rows: readonly DataRow[], { columns: { features }, task }: LoopSpec['data']) {
    this.columns = new Map(
      features.map((name) => [
        name,
        columnOf(
          name,
          rows.map(({ features: f }) => f[name] ?? null),
        ),
      ]),
    );
    const labels = rows.map(({ label }) => label);
    this.label = task === 'regression' ? numbersOf('label', labels.map(Number)) : categoriesOf('label', labels);
  }

  compared(window: readonly DataRow[]): DriftSubject[] {
    return [
      ...[...this.columns].flatMap(([name, column]) => column(window.map(({ features }) => features[name] ?? null))),
      ...this.label(window.map(({ label }) => label)),
    ];
  }
}

function columnOf(name: string, values: readonly Value[]): Column {
  const present = values.filter((value) => value !== null);
  if (present.length > 0 && present.every((value) => typeof value === 'number'))
    return withMissing(name, values, numbersOf(name, values));
  const distinct = new Set(present.map(String)).size;
  if (distinct <= mostCategories && distinct * rowsPerCategory <= present.length) return categoriesOf(name, values);
  return withMissing(name, values, textsOf(name, values));
}

const numbersOf = (subject: string, reference: readonly Value[]): Column => {
  const known = asNumbers(reference);
  return (live) => [{ subject, kind: 'numbers', reference: known, live: asNumbers(live) }];
};

/** A column of numbers that suddenly has text says so by what is missing. */
const asNumbers = (values: readonly Value[]): number[] =>
  values.flatMap((value) => {
    const number = typeof value === 'string' ? Number(value) : value;
    return typeof number === 'number' && Number.isFinite(number) ? [number] : [];
  });

const categoriesOf = (subject: string, reference: readonly Value[]): Column => {
  const known = countsOf(reference.map(String));
  return (live) => [{ subject, kind: 'categories', reference: known, live: countsOf(live.map(String)) }];
};

function withMissing(name: string, reference: readonly Value[], column: Column): Column {
  const isMissing = (values: readonly Value[]) => values.map((value) => value === null);
  const missing = categoriesOf(`${name} missing`, isMissing(reference));
  const someWereMissing = reference.includes(null);
  return (live) => [...column(live), ...(someWereMissing || live.includes(null) ? missing(isMissing(live)) : [])];
}

function textsOf(name: string, reference: readonly Value[]): Column {
  const texts = asTexts(reference);
  const words = texts.map(wordsOf);
  // A vocabulary knows all words of the rows that it was made from: the other half says how many are unknown by chance.
  const vocabulary = new Set(words.filter((_, i) => i % 2 === 0).flatMap((row) => [...row]));
  const unknown = (rows: readonly ReadonlySet<number>[]) => rows.flatMap((row) => unknownShare(row, vocabulary) ?? []);
  const known = {
    lengths: texts.map(({ length }) => length),
    unknown: unknown(words.filter((_, i) => i % 2 === 1)),
    terms: termRows(words),
  };
  return (values) => {
    const live = asTexts(values);
    const liveWords = live.map(wordsOf);
    return [
      { subject: `${name} length`, kind: 'numbers', reference: known.lengths, live: live.map(({ length }) => length) },
      { subject: `${name} unknown words`, kind: 'numbers', reference: known.unknown, live: unknown(liveWords) },
      { subject: `${name} terms`, kind: 'terms', reference: known.terms, live: termRows(liveWords) },
    ];
  };
}

const asTexts = (values: readonly Value[]): string[] =>
  values.flatMap((value) => (value === null ? [] : [String(value)]));

export function countsOf(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
