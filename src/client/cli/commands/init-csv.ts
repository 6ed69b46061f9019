import { open } from 'node:fs/promises';
import { InvalidArgument } from '../../errors.ts';
import { nearest } from '../../nearest.ts';

/** What the columns of a CSV file are good for. */
export interface CsvColumns {
  label: string;
  /** Columns of numbers without gaps, or of text, other than the next two and the label. */
  features: string[];
  /** What the features are: a model of numbers reads no text, and the text recipe no numbers. */
  kind: 'numbers' | 'text';
  /** Empty: the data program counts lines. */
  idColumn: string;
  timeColumn: string;
  /** Of all other columns: why the model cannot use them. */
  leftOut: { column: string; reason: string }[];
  rows: number;
  /** How often each label comes, the rarest first. */
  labels: [label: string, count: number][];
}

export interface CsvChoice {
  label: string;
  id?: string | undefined;
  time?: string | undefined;
  /** `whichever`: numbers where there are any, else text. */
  kind: 'numbers' | 'text' | 'whichever';
}

/** So much of a file says what its columns are; the data program reads all of it. */
const readBytes = 4 * 2 ** 20;
const idNames = /^(?:[iI][dD]|uuid|key)$|_(?:id|no|nr|number|key)$|[a-z]Id$/;
const timeNames = /^(?:time|date|at|timestamp|created_?at|received_?at|day)$/i;

/** Looks at the first 4 MiB of a CSV file with a header. @throws InvalidArgument that names the column */
export async function readCsvColumns(path: string, { label, id, time, kind: asked }: CsvChoice): Promise<CsvColumns> {
  const [names, ...lines] = records(await head(path));
  if (!names || lines.length === 0) throw new InvalidArgument(`${path}: expected a line of column names, and rows`);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new InvalidArgument(`${path}: two columns are named ${JSON.stringify(twice)}`);
  for (const [option, column] of Object.entries({ label, id, time }))
    if (column !== undefined && !names.includes(column))
      throw new InvalidArgument(
        `--${option} ${JSON.stringify(column)}: ${path} has no such column${nearest(column, names, '; did you mean')}; it has ${names.join(', ')}`,
      );
  const cells = (column: string): string[] => lines.map((line) => line[names.indexOf(column)] ?? '');
  const gap = cells(label).indexOf('');
  if (gap >= 0) throw new InvalidArgument(`${path}, row ${gap + 1}: expected a label in column ${label}`);
  const idColumn = id ?? names.find((name) => idNames.test(name) && isUnique(cells(name))) ?? '';
  const timeColumn = time ?? names.find((name) => timeNames.test(name) && cells(name).every(isTime)) ?? '';
  const others = names.filter((column) => ![label, idColumn, timeColumn].includes(column));
  const reasons = (kind: CsvColumns['kind']) =>
    others.map((column) => ({ column, reason: (kind === 'text' ? whyNoText : whyNoNumber)(cells(column)) }));
  const fits = (kind: CsvColumns['kind']) => reasons(kind).some(({ reason }) => reason === undefined);
  const kind = asked !== 'whichever' ? asked : fits('numbers') || !fits('text') ? 'numbers' : 'text';
  const features = reasons(kind).flatMap(({ column, reason }) => (reason === undefined ? [column] : []));
  const leftOut = reasons(kind).flatMap(({ column, reason }) => (reason === undefined ? [] : [{ column, reason }]));
  if (features.length === 0) {
    const text = kind === 'numbers' && fits('text') ? '; --template text learns from columns of text' : '';
    throw new InvalidArgument(`${path}: expected at least one column of ${kind} besides ${label}${text}`);
  }
  const counts = new Map<string, number>();
  for (const cell of cells(label)) counts.set(asRead(cell), (counts.get(asRead(cell)) ?? 0) + 1);
  const labels = [...counts].sort((a, b) => a[1] - b[1]);
  return { label, features, kind, idColumn, timeColumn, leftOut, rows: lines.length, labels };
}

async function head(path: string): Promise<string> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new InvalidArgument(`--csv ${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`);
  });
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(readBytes), 0, readBytes, 0).catch((error: Error) => {
      throw new InvalidArgument(`--csv ${path}: ${error.message}`);
    });
    const text = buffer.toString('utf8', 0, bytesRead).replace(/^\uFEFF/, '');
    // What was cut off in the middle is no row.
    return bytesRead < readBytes && !text.endsWith('\n') ? `${text}\n` : text;
  } finally {
    await file.close();
  }
}

/** RFC 4180: commas, quotes doubled inside quotes. A last line without its end is left out. */
function records(text: string): string[][] {
  const all: string[][] = [];
  let [record, cell, quoted]: [string[], string, boolean] = [[], '', false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') {
        cell += c;
        i += 1;
      } else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',' || c === '\n') {
      record.push(cell.replace(/\r$/, ''));
      cell = '';
      if (c === '\n') {
        if (record.some((part) => part !== '')) all.push(record);
        record = [];
      }
    } else cell += c;
  }
  return all;
}

function whyNoNumber(cells: readonly string[]): string | undefined {
  const gaps = cells.filter((cell) => cell.trim() === '').length;
  if (gaps > 0) return `empty in ${gaps} of ${cells.length} rows`;
  const word = cells.find((cell) => !Number.isFinite(Number(cell)));
  return word === undefined ? undefined : `not a number: ${JSON.stringify(word.slice(0, 40))}`;
}

/** Words, not codes: a column of numbers, or of one word that comes again and again, is no text. */
function whyNoText(cells: readonly string[]): string | undefined {
  const filled = cells.filter((cell) => cell.trim() !== '');
  if (filled.every((cell) => Number.isFinite(Number(cell)))) return 'no text: numbers';
  const withWords = filled.filter((cell) => /\s/.test(cell.trim())).length;
  return withWords * 2 >= filled.length ? undefined : 'no text: single words';
}

const isUnique = (cells: readonly string[]): boolean => new Set(cells).size === cells.length;
const isTime = (cell: string): boolean => /^\d{4}-\d\d-\d\d/.test(cell) && !Number.isNaN(Date.parse(cell));
/** As the data program prints it, and goto3 makes a label of it. */
const asRead = (cell: string): string =>
  cell.trim() !== '' && Number.isFinite(Number(cell)) ? String(Number(cell)) : cell;
