/** What a program said about itself on one line of stdout: `{"progress": 0.4, "epoch": 2, "loss": 0.31}`. */
export interface ProgressLine {
  /** 0 to 1. */
  fraction: number;
  /** The other numbers of the line. */
  metrics: Record<string, number>;
}

/** Longer lines are output, not progress; it also bounds what is held of a line that never ends. */
export const longestProgressLineBytes = 64 * 1024;
const mostMetrics = 64;

export function parseProgress(line: string): ProgressLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { progress, ...rest } = value as Record<string, unknown>;
  if (typeof progress !== 'number') return undefined;
  const numbers = Object.entries(rest).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
  return { fraction: Math.min(1, Math.max(0, progress)), metrics: Object.fromEntries(numbers.slice(0, mostMetrics)) };
}

/** A program that repeats itself from a timer is alive but gets nowhere: only news counts against the progress timeout. */
export const isNews = (line: ProgressLine, before: ProgressLine | undefined): boolean =>
  before === undefined || JSON.stringify(line) !== JSON.stringify(before);

const newline = 0x0a;
const brace = 0x7b;
const lineThatMayBeJson = Buffer.from('\n{');

/**
 * Finds progress lines in a byte stream. Lines that do not begin with `{` are skipped by one native search, so a flood of
 * output costs about as much as copying it.
 */
export class ProgressReader {
  readonly #onLine: (line: ProgressLine) => void;
  #atLineStart = true;
  /** Pieces of a line that begins with `{` and has not ended yet. */
  #pieces: Buffer[] | undefined;
  #piecesBytes = 0;

  constructor(onLine: (line: ProgressLine) => void) {
    this.#onLine = onLine;
  }

  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#pieces) at = this.#collect(chunk, at);
      else if (this.#atLineStart && chunk[at] === brace) this.#begin();
      else {
        const found = chunk.indexOf(lineThatMayBeJson, at);
        this.#atLineStart = found !== -1 || chunk[chunk.length - 1] === newline;
        at = found === -1 ? chunk.length : found + 1;
      }
    }
  }

  /** The stream has ended; a last line without a line feed counts. */
  end(): void {
    if (this.#pieces) this.#finish();
  }

  #begin(): void {
    this.#pieces = [];
    this.#piecesBytes = 0;
  }

  #collect(chunk: Buffer, at: number): number {
    const end = chunk.indexOf(newline, at);
    const piece = chunk.subarray(at, end === -1 ? chunk.length : end);
    this.#piecesBytes += piece.length;
    if (this.#piecesBytes > longestProgressLineBytes) {
      this.#pieces = undefined;
      this.#atLineStart = false;
      return end === -1 ? chunk.length : end;
    }
    this.#pieces!.push(piece);
    if (end === -1) return chunk.length;
    this.#finish();
    return end + 1;
  }

  #finish(): void {
    const line = parseProgress(Buffer.concat(this.#pieces!).toString('utf8'));
    this.#pieces = undefined;
    this.#atLineStart = true;
    if (line) this.#onLine(line);
  }
}
