import { basename, dirname, extname, join } from 'node:path';
import { OnnxError } from '../../../onnx/error.ts';
import { openModel } from '../../../onnx/proto/open-model.ts';
import { saveModel } from '../../../onnx/proto/save-model.ts';
import { readCpuFeatures } from '../../../onnx/quantize/cpu.ts';
import { quantizeDynamic } from '../../../onnx/quantize/dynamic.ts';
import { instructionSetOf } from '../../../onnx/quantize/instruction-set.ts';
import type { Output, Result } from '../output.ts';
import type { QuantizeOptions } from './quantize.ts';
import type { QuantizeDocument } from './quantize-document.ts';
import { inWords } from './quantize-words.ts';

/**
 * `goto3 quantize`: this process has nothing else to do, so the work is done in it. What is heavy to load (the engine,
 * statistics, plots) is loaded when an option asks for it.
 */
export async function quantizeFile(path: string, options: QuantizeOptions, output: Output): Promise<Result> {
  const startedAt = performance.now();
  const to = options.output ?? join(dirname(path), `${basename(path, extname(path))}.int8.onnx`);
  if (options.margin !== undefined && options.calibration === undefined)
    throw new OnnxError('--margin: expected --calibration too, rows that the loss is measured on');
  const opened = openFile(path);
  try {
    const { model: float } = opened;
    const { perTensor, weightBits, smallest } = options;
    const settings = { perChannel: perTensor !== true, reduceRange: weightBits === 7, smallest };
    const measured =
      options.calibration === undefined
        ? undefined
        : await (await import('./quantize-measured.ts')).measure(path, float, options, settings, (text) =>
            output.note(text),
          );
    const exclude = [...(options.exclude ?? []), ...(measured?.keptFloat ?? [])];
    const say = every(1_000, (text) => output.note(text));
    let weights = 0;
    const { model, report } = quantizeDynamic(float, {
      ...settings,
      exclude,
      onWeight: ({ weight }) => {
        weights += 1;
        say(`${weights} weights are int8, now ${weight}`);
      },
    });
    if (!report.changed) throw new OnnxError(`${path}: nothing in it can be quantized: ${whyNothing(report)}`);
    const { sizeBytes } = await saveModel(model, to, { durability: 'fast' });
    const { options: _settings, ...outcomes } = report;
    const document: QuantizeDocument = {
      schema: 'goto3/quantization/v1',
      model: path,
      output: to,
      options: { ...settings, weightBits, exclude: options.exclude ?? [] },
      instructionSet: instructionSetOf(await readCpuFeatures()),
      sizeBefore: sizeOf(report.bytesBefore, sizeBytes - report.bytesAfter),
      sizeBytes,
      ...outcomes,
      layers: measured?.layers ?? null,
      search: measured?.search ?? null,
      seconds: (performance.now() - startedAt) / 1_000,
    };
    if (options.report !== undefined) {
      const { writeReport } = await import('./quantize-report.ts');
      await writeReport(options.report, document, float, measured?.activations ?? []);
    }
    return { document, text: inWords(document, options.report), exitCode: document.search?.holds === false ? 1 : 0 };
  } finally {
    opened.close();
  }
}

function openFile(path: string): ReturnType<typeof openModel> {
  try {
    return openModel(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === 'ENOENT' || code === 'EISDIR' || code === 'EACCES'
      ? new OnnxError(`${path}: expected an ONNX model that can be read (${code})`, { cause: error })
      : error;
  }
}

/** The float file's size, from its constants and what the int8 file has beside them. */
const sizeOf = (constants: number, rest: number): number => constants + Math.max(0, rest);

function whyNothing({ nodes }: { nodes: readonly { node: string; outcome: string; reason?: string }[] }): string {
  const reasons = nodes.flatMap(({ node, reason }) => (reason === undefined ? [] : [`node "${node}": ${reason}`]));
  return reasons.length === 0 ? 'it has no MatMul, Gemm, LSTM or Gather' : reasons.slice(0, 3).join('; ');
}

/** Passes on what is said at most once per `periodMs`. */
function every(periodMs: number, say: (text: string) => void): (text: string) => void {
  let last = performance.now();
  return (text) => {
    if (performance.now() - last < periodMs) return;
    last = performance.now();
    say(text);
  };
}
