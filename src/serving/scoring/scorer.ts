import type { ChildProcess } from 'node:child_process';
import type { FeatureRow, Prediction } from '../../contracts/model.ts';
import { fromErrorMessage, ServingError, servingErrors } from '../errors.ts';
import { forkProgram } from '../program.ts';
import { chunksOf } from './chunks.ts';
import { type LatencySummary, summariseLatencies } from './latency.ts';
import type { FromScoring, ToScoring } from './messages.ts';

export interface ScorerOptions {
  /** Absolute path of a folder with `model.onnx` and `signature.json`. */
  modelFolder: string;
  signal: AbortSignal;
  /** For loading, and for each chunk of rows; after it the process is killed. Default 60 s. */
  timeoutMs?: number;
}

export interface Scorer {
  /**
   * Answers in the order of the rows, which are read and sent in chunks. `onProgress` gets the rows done so far.
   * @throws ServingError `InvalidInput` that names the rows, `PredictionFailed`, or `InferenceCrashed` when the process died or hung
   */
  score(
    rows: Iterable<FeatureRow> | AsyncIterable<FeatureRow>,
    onProgress?: (rowsDone: number) => void,
  ): Promise<Prediction[]>;
  /** One row at a time, without the way between processes; the rows are gone round as often as needed. */
  latency(input: { samples: number; warmup: number; rows: readonly FeatureRow[] }): Promise<LatencySummary>;
  close(): Promise<void>;
}

const chunkLimits = { maxRows: 256, maxCharacters: 1_000_000 };

/**
 * Loads a model in a child process. @throws ServingError `ModelNotServable`, `InferenceCrashed`; the signal's reason when
 * it is aborted
 */
export async function createScorer({ modelFolder, signal, timeoutMs = 60_000 }: ScorerOptions): Promise<Scorer> {
  signal.throwIfAborted();
  const child = new ScoringProcess(modelFolder, signal, timeoutMs);
  try {
    await child.ask({ op: 'load', modelFolder });
  } catch (error) {
    await child.close();
    throw error;
  }
  return {
    async score(rows, onProgress) {
      const predictions: Prediction[] = [];
      for await (const chunk of chunksOf(rows, chunkLimits)) {
        const answer = await child.ask({ op: 'score', rows: chunk }, predictions.length);
        if (answer.op === 'scored') for (const prediction of answer.predictions) predictions.push(prediction);
        onProgress?.(predictions.length);
      }
      return predictions;
    },
    async latency({ samples, warmup, rows }) {
      if (rows.length === 0) throw new ServingError(servingErrors.invalidInput, 'rows: expected at least one to time');
      const latenciesMs: number[] = [];
      for await (const chunk of chunksOf(repeat(rows, warmup + samples), chunkLimits)) {
        const answer = await child.ask({ op: 'time', rows: chunk });
        if (answer.op === 'timed') latenciesMs.push(...answer.latenciesMs);
      }
      return summariseLatencies(latenciesMs.slice(warmup));
    },
    close: () => child.close(),
  };
}

function* repeat(rows: readonly FeatureRow[], count: number): Iterable<FeatureRow> {
  for (let index = 0; index < count; index++) yield rows[index % rows.length]!;
}

/** One question at a time; a process that ends, hangs or is aborted answers it with an error. */
class ScoringProcess {
  private readonly child: ChildProcess;
  private readonly signal: AbortSignal;
  private readonly timeoutMs: number;
  private readonly ended: Promise<void>;
  private settle: ((answer: FromScoring | Error) => void) | undefined;
  private end: string | undefined;
  private readonly onAbort = (): void => this.stop('it was cancelled');

  constructor(modelFolder: string, signal: AbortSignal, timeoutMs: number) {
    this.signal = signal;
    this.timeoutMs = timeoutMs;
    this.child = forkProgram(new URL('./scoring-process.ts', import.meta.url), modelFolder);
    signal.addEventListener('abort', this.onAbort);
    this.child.on('message', (answer: FromScoring) => this.settle?.(answer));
    this.ended = new Promise((resolve) => {
      const finish = (how: string): void => {
        this.end ??= how;
        this.settle?.(this.failure());
        resolve();
      };
      this.child.on('exit', (code, exitSignal) => finish(`it ended with ${exitSignal ?? `exit code ${code}`}`));
      this.child.on('error', (error) => finish(`it could not be started: ${error.message}`));
    });
  }

  async ask(message: ToScoring, firstRow = 0): Promise<FromScoring> {
    if (this.end !== undefined) throw this.failure();
    const timer = setTimeout(
      () => this.stop(`no answer to "${message.op}" within ${this.timeoutMs} ms`),
      this.timeoutMs,
    );
    const answer = await new Promise<FromScoring | Error>((resolve) => {
      this.settle = resolve;
      this.child.send(message, () => {});
    });
    clearTimeout(timer);
    this.settle = undefined;
    if (answer instanceof Error) throw answer;
    if (answer.op !== 'failed') return answer;
    const where = message.op === 'load' ? '' : `rows ${firstRow} to ${firstRow + message.rows.length - 1}: `;
    throw fromErrorMessage({ ...answer.error, message: where + answer.error.message });
  }

  async close(): Promise<void> {
    this.signal.removeEventListener('abort', this.onAbort);
    this.stop('it was closed');
    await this.ended;
  }

  private stop(reason: string): void {
    this.end ??= reason;
    this.child.kill('SIGKILL');
  }

  private failure(): Error {
    if (this.signal.aborted) return this.signal.reason as Error;
    return new ServingError(servingErrors.inferenceCrashed, `the scoring process stopped: ${this.end}`);
  }
}
