import { parentPort, workerData } from 'node:worker_threads';
import { decodeModel } from '../onnx/proto/decode.ts';
import { encodeModel } from '../onnx/proto/encode.ts';
import { needsReducedRange, readCpuFeatures } from '../onnx/quantize/cpu.ts';
import { quantizeDynamic } from '../onnx/quantize/dynamic.ts';

export interface QuantizeAnswer {
  bytes: Uint8Array;
  /** Nodes that became int8, and those that stayed float. */
  quantized: number;
  skipped: number;
}

const reduceRange = needsReducedRange(await readCpuFeatures());
const { model, report } = quantizeDynamic(decodeModel(workerData as Uint8Array), { reduceRange });
const quantized = report.nodes.filter(({ outcome }) => outcome === 'quantized').length;
const answer: QuantizeAnswer = { bytes: encodeModel(model), quantized, skipped: report.nodes.length - quantized };
parentPort!.postMessage(answer);
