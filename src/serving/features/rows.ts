import { failureTypes } from '../../contracts/failures.ts';
import type { FeatureRow } from '../../contracts/model.ts';

export type FeatureValue = FeatureRow[string];

/** A row whose values have places: of a CSV body (all of them text), or of a JSON body without names. */
export interface PlacedRow {
  values: readonly FeatureValue[];
  /** Names from a header line, by place; null: the values come in the order of the model's features. */
  columns: readonly string[] | null;
}
export type InputRow = FeatureRow | PlacedRow;

/** A named row holds no lists. */
export const isPlaced = (row: InputRow): row is PlacedRow => Array.isArray((row as Partial<PlacedRow>).values);

/** A row does not fit the model's signature; the message names the row, the feature and what was expected. */
export class FeatureError extends Error {
  override readonly name = 'FeatureError';
  readonly type = failureTypes.invalidInput;
  /** Undefined when it is about the row as a whole. */
  readonly feature: string | undefined;

  constructor(row: number, feature: string | undefined, message: string) {
    super(`row ${row}${feature === undefined ? '' : `, feature ${JSON.stringify(feature)}`}: ${message}`);
    this.feature = feature;
  }
}

/**
 * A row's values in the order of the model's features. In a named row, features that the model does not name are ignored:
 * rows carry ids and times. In a row with places every place counts, so columns that are missing, double or unknown are
 * refused. @throws FeatureError
 */
export function valuesOf(row: InputRow, rowNumber: number, features: readonly string[]): readonly FeatureValue[] {
  if (isPlaced(row)) return placedValues(row, rowNumber, features);
  return features.map((feature) => {
    // An own property only: a feature named "constructor" is not found on every object.
    const value = Object.hasOwn(row, feature) ? row[feature] : undefined;
    if (value === undefined) throw new FeatureError(rowNumber, feature, 'expected a value, it is missing');
    return value;
  });
}

function placedValues(
  { values, columns }: PlacedRow,
  rowNumber: number,
  features: readonly string[],
): readonly FeatureValue[] {
  const expected = columns ?? features;
  if (values.length !== expected.length)
    throw new FeatureError(
      rowNumber,
      undefined,
      `expected ${expected.length} columns (${listed(expected)}), got ${values.length}`,
    );
  if (!columns) return values;
  const unknown = columns.find((column) => !features.includes(column));
  if (unknown !== undefined)
    throw new FeatureError(
      rowNumber,
      undefined,
      `the model has no feature ${JSON.stringify(unknown.slice(0, 64))}, it has ${listed(features)}`,
    );
  return features.map((feature) => {
    const place = columns.indexOf(feature);
    if (place < 0) throw new FeatureError(rowNumber, feature, 'expected a column, the header has none of this name');
    if (columns.includes(feature, place + 1)) throw new FeatureError(rowNumber, feature, 'the header names it twice');
    return values[place]!;
  });
}

const mostListed = 12;
const listed = (names: readonly string[]): string =>
  names.slice(0, mostListed).join(', ') + (names.length > mostListed ? ` and ${names.length - mostListed} more` : '');

/** Never the text itself: it is somebody's mail. */
export const describeValue = (value: FeatureValue): string =>
  value === null ? 'null' : typeof value === 'number' ? String(value) : value === '' ? 'nothing' : typeof value;
