import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';

export type Paint = ReturnType<typeof pc.createColors>;

/** What a text is laid out for. */
export interface Page {
  readonly paint: Paint;
  /** Columns of the terminal; undefined when nobody looks at one, and then nothing is cut. */
  readonly width: number | undefined;
}

/** What a command has to say: the same facts for programs and for people. */
export interface Result {
  /** For `--json`. */
  document: unknown;
  /** For people; may have line feeds. */
  text: string;
  /** Default 0. */
  exitCode?: number;
}

export interface OutputOptions {
  json: boolean;
  /** `NO_COLOR` is not set. */
  color: boolean;
  stdout?: NodeJS.WriteStream;
  stderr?: NodeJS.WriteStream;
}

/**
 * Results go to stdout, everything else to stderr. With `--json` stdout gets exactly one JSON document. Text of programs
 * and people is in what we print, so control characters are shown, never sent to the terminal.
 */
export class Output implements Page {
  readonly json: boolean;
  readonly paint: Paint;
  readonly width: number | undefined;
  /** A person is at both ends and can be asked. */
  readonly interactive: boolean;
  readonly #stdout: NodeJS.WriteStream;
  readonly #stderr: NodeJS.WriteStream;

  constructor({ json, color, stdout = process.stdout, stderr = process.stderr }: OutputOptions) {
    this.json = json;
    this.paint = pc.createColors(color && stdout.isTTY === true);
    this.width = stdout.isTTY ? stdout.columns : undefined;
    this.interactive = !json && stderr.isTTY === true && process.stdin.isTTY === true;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  result({ document, text }: Result): void {
    if (this.json) this.#stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
    else if (text !== '') this.#stdout.write(`${harmless(text)}\n`);
  }

  /** A part of a result that grows, such as a log that is followed. Programs wait for the document instead. */
  line(text: string): void {
    if (!this.json) this.#stdout.write(`${harmless(text)}\n`);
  }

  /** Progress and notes. */
  note(text: string): void {
    this.#stderr.write(`${harmless(text)}\n`);
  }
}

/** Colours and line feeds pass, other control characters become visible (no terminal escape in a log or a reason works). */
export function harmless(text: string): string {
  return text.replaceAll(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
    /\u001b(?!\[\d{1,3}m)|[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f-\u009f]/g,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

const gap = '  ';
const numeric = /^(?:[-+]?\d[\d,.]*(?: ?(?:%|pt|ms|s|B|KiB|MiB|GiB|TiB))?|–)?$/;

/**
 * Aligned columns; those with nothing but numbers are right-aligned. With a `width`, the last column is cut to fit.
 * No rows: no lines, the caller says what that means.
 */
export function table(head: readonly string[], rows: readonly (readonly string[])[], { paint, width }: Page): string {
  if (rows.length === 0) return '';
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll(/\s*[\r\n]+\s*/g, ' ')));
  const widths = head.map((title, i) => Math.max(length(title), ...cells.map((row) => length(row[i] ?? ''))));
  const right = head.map((_, i) => cells.every((row) => numeric.test(stripVTControlCharacters(row[i] ?? ''))));
  const line = (row: readonly string[]): string => {
    const padded = row.map((cell, i) => {
      const last = i === row.length - 1;
      const space = ' '.repeat(Math.max(0, widths[i]! - length(cell)));
      return right[i] ? space + cell : last ? cell : cell + space;
    });
    return cut(padded.join(gap).trimEnd(), width);
  };
  return [paint.dim(line(head)), ...cells.map(line)].join('\n');
}

/** `name  value` lines, for one thing with several properties. */
export function facts(pairs: readonly (readonly [name: string, value: string | undefined])[], paint: Paint): string {
  const known = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const widest = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${paint.dim(name.padEnd(widest))}${gap}${value}`).join('\n');
}

/** Sections with a title, an empty line between them; one without a body is left out. */
export function sections(parts: readonly (readonly [title: string, body: string])[], paint: Paint): string {
  return parts
    .filter(([, body]) => body !== '')
    .map(([title, body]) => (title === '' ? body : `${paint.bold(title)}\n${body}`))
    .join('\n\n');
}

const length = (text: string): number => [...stripVTControlCharacters(text)].length;

/** Colours are lost in a line that is cut: half an escape is worse than none. */
function cut(text: string, width: number | undefined): string {
  if (width === undefined || length(text) <= width) return text;
  return `${[...stripVTControlCharacters(text)].slice(0, Math.max(1, width - 1)).join('')}…`;
}
