import { closeSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { isNews, type ProgressLine } from '../progress.ts';
import type { JobFolder, ProgressRecord } from './job-folder.ts';

const progressEveryMs = 200;
const metricsCapBytes = 16 * 2 ** 20;

/** Keeps `progress.json` at the last news (a few times a second at most) and appends all news to `metrics.jsonl`. */
export class ProgressFiles {
  readonly #folder: JobFolder;
  readonly #metrics: number;
  #metricsBytes = 0;
  #last: ProgressLine | undefined;
  #record: ProgressRecord | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastNewsMs = performance.now();

  constructor(folder: JobFolder) {
    this.#folder = folder;
    this.#metrics = openSync(folder.metrics, 'a', 0o600);
  }

  /** Monotonic time of the last news, or of the start. */
  get lastNewsMs(): number {
    return this.#lastNewsMs;
  }

  add(line: ProgressLine): void {
    if (!isNews(line, this.#last)) return;
    this.#last = line;
    this.#lastNewsMs = performance.now();
    this.#record = { ...line, at: new Date().toISOString() };
    this.#appendMetrics(this.#record);
    this.#timer ??= setTimeout(() => this.#flush(), progressEveryMs);
  }

  end(): void {
    if (this.#timer) {
      clearTimeout(this.#timer);
      this.#flush();
    }
    closeSync(this.#metrics);
  }

  #appendMetrics(record: ProgressRecord): void {
    const line = `${JSON.stringify(record)}\n`;
    this.#metricsBytes += line.length;
    if (this.#metricsBytes <= metricsCapBytes) attempt(() => writeSync(this.#metrics, line));
  }

  #flush(): void {
    this.#timer = undefined;
    attempt(() => {
      writeFileSync(`${this.#folder.progress}.writing`, JSON.stringify(this.#record), { mode: 0o600 });
      renameSync(`${this.#folder.progress}.writing`, this.#folder.progress);
    });
  }
}

/** Progress is a courtesy: a full disk must not end the job. */
function attempt(write: () => void): void {
  try {
    write();
  } catch (error) {
    console.error(`progress: ${(error as Error).message}`);
  }
}
