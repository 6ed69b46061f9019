import { readFile, writeFile } from 'node:fs/promises';
import { decodeModel } from '../onnx/proto/decode.ts';
import { encodeModel } from '../onnx/proto/encode.ts';
import { needsReducedRange, readCpuFeatures } from '../onnx/quantize/cpu.ts';
import { quantizeDynamic } from '../onnx/quantize/dynamic.ts';

export interface QuantizeTask {
  /** Absolute paths of the float model and of the one to write. */
  input: string;
  output: string;
}

export type QuantizeAnswer =
  /** Nodes that became int8, and those that stayed float. */
  { quantized: number; skipped: number } | { error: string; type: string | undefined };

/** A process of its own: heavy JavaScript never runs on the loop that beats, and a model's weights leave with it. */
process.once('message', (task: QuantizeTask) => {
  quantize(task)
    .catch((error: Error & { type?: string }): QuantizeAnswer => ({ error: error.message, type: error.type }))
    .then((answer) => process.send!(answer, () => process.exit(0)))
    .catch(() => process.exit(1));
});

async function quantize({ input, output }: QuantizeTask): Promise<QuantizeAnswer> {
  const reduceRange = needsReducedRange(await readCpuFeatures());
  const { model, report } = quantizeDynamic(decodeModel(await readFile(input)), { reduceRange });
  await writeFile(output, encodeModel(model));
  const quantized = report.nodes.filter(({ outcome }) => outcome === 'quantized').length;
  return { quantized, skipped: report.nodes.length - quantized };
}
