import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OnnxError } from '../../error.ts';
import type { Model } from '../../model.ts';
import { saveModel } from '../../proto/save-model.ts';
import { type CalibrationBatch, type CalibrationBatches, checkBatch, rowsOf } from './batches.ts';
import { calibrationFiles, calibrationFolderPrefix } from './calibration-files.ts';
import type { Kernels, Passes } from './forward-passes.ts';
import { IsolatedPasses } from './isolated-passes.ts';
import { withObservers } from './observed-model.ts';
import { type CalibrationMethod, needsHistograms } from './ranges.ts';
import type { ValueRange } from './value-range.ts';

export type { CalibrationBatch, CalibrationBatches } from './batches.ts';

/** Rows are known only as they come; `pass` 2 goes over the same rows again. */
export interface CalibrationProgress {
  readonly pass: 1 | 2;
  readonly batches: number;
  readonly rows: number;
}

export interface CalibrationOptions {
  readonly method: CalibrationMethod;
  /** Threads of the engine; default: one per core. */
  readonly threads?: number;
  /** Default `fused`; `plain` gives the scales of onnxruntime's quantizer to the last bit. */
  readonly kernels?: Kernels;
  /**
   * In a child process, the default. False runs the engine here, where it blocks the thread and an abort waits for the
   * end of a batch: for a process that does nothing else and may be killed, such as a command.
   */
  readonly isolate?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CalibrationProgress) => void;
}

/**
 * Runs the model over the batches and returns a range for each of the values (float32 tensors of the
 * graph), with the number of rows. Memory holds one batch, its activations and, for methods other than `minMax`, one
 * histogram per value: the first pass finds each value's extremes and keeps the batches on disk, the second counts. A
 * histogram over a range that is known needs no growing and no sample, and its result depends on nothing but the rows.
 * NaN that arises inside the model is found by the second pass only.
 * @throws OnnxError for batches that do not fit the model, none at all, or numbers that are not finite;
 * CalibrationFailed; the signal's reason
 */
export async function calibrate(
  model: Model,
  values: readonly string[],
  batches: CalibrationBatches,
  { method, threads, kernels = 'fused', isolate = true, signal, onProgress }: CalibrationOptions,
): Promise<{ ranges: ReadonlyMap<string, ValueRange>; rows: number }> {
  checkMethod(method);
  signal?.throwIfAborted();
  const folder = await mkdtemp(join(tmpdir(), calibrationFolderPrefix));
  let passes: Passes | undefined;
  try {
    // A process starts while the model is written. The engine is loaded here only where it is to run here.
    passes = isolate
      ? new IsolatedPasses(folder, signal)
      : new (await import('./forward-passes.ts')).ForwardPasses(folder);
    const { model: observing, observed } = withObservers(model, values, { whole: needsHistograms(method) });
    await saveModel(observing, join(folder, calibrationFiles.model), { durability: 'fast', externalData: 'always' });
    await passes.open({ observed, method, threads, kernels });
    const { batches: seen, rows } = await observe(passes, model, untilAborted(batches, signal), onProgress);
    if (seen === 0) throw new OnnxError('calibration: there are no batches');
    const ranges = await passes.finish((counted) => {
      onProgress?.({ pass: 2, batches: counted, rows });
      if (!isolate) signal?.throwIfAborted();
    });
    return { ranges: new Map(ranges), rows };
  } finally {
    await passes?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Sends the batches one by one; the next is read while the process works. */
async function observe(
  passes: Passes,
  { graph }: Model,
  batches: AsyncIterable<CalibrationBatch>,
  onProgress: CalibrationOptions['onProgress'],
): Promise<{ batches: number; rows: number }> {
  let working: Promise<unknown> = Promise.resolve();
  let seen = 0;
  let rows = 0;
  try {
    for await (const batch of batches) {
      checkBatch(graph, batch, `calibration batch ${seen}`);
      await working;
      if (seen > 0) onProgress?.({ pass: 1, batches: seen, rows });
      working = passes.observe(batch);
      // Awaited before the next batch; until then a failure is not "unhandled".
      working.catch(() => {});
      seen++;
      rows += rowsOf(batch);
    }
  } finally {
    await working.catch(() => {});
  }
  await working;
  if (seen > 0) onProgress?.({ pass: 1, batches: seen, rows });
  return { batches: seen, rows };
}

/** The batches; an abort ends the wait for a source that does not answer. */
async function* untilAborted(
  batches: CalibrationBatches,
  signal: AbortSignal | undefined,
): AsyncGenerator<CalibrationBatch> {
  const iterator = Symbol.asyncIterator in batches ? batches[Symbol.asyncIterator]() : batches[Symbol.iterator]();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal?.reason as Error);
    signal?.addEventListener('abort', onAbort);
  });
  aborted.catch(() => {});
  let done = false;
  try {
    while (!done) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) done = true;
      else yield next.value;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    // Not awaited: a source that hangs would answer neither.
    if (!done) void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function checkMethod(method: CalibrationMethod): void {
  if (method.method !== 'percentile' || method.percentile === undefined) return;
  if (!(method.percentile > 50 && method.percentile <= 100)) {
    throw new OnnxError(`calibration: percentile ${method.percentile}, expected one above 50 and at most 100`);
  }
}
