import type { InstructionSet } from '../../../onnx/quantize/instruction-set.ts';
import type { QuantizationReport } from '../../../onnx/quantize/report.ts';
import type { Trial } from '../../../onnx/quantize/search.ts';
import type { LayerError } from '../../../onnx/quantize/sensitivity.ts';

/** What `goto3 quantize --json` prints and `--report` writes. */
export interface QuantizeDocument extends Omit<QuantizationReport, 'options'> {
  readonly schema: 'goto3/quantization/v1';
  readonly model: string;
  readonly output: string;
  readonly options: {
    readonly perChannel: boolean;
    readonly reduceRange: boolean;
    readonly weightBits: 7 | 8;
    /** Matrices with fewer weights stayed float. */
    readonly smallest: number;
    readonly exclude: readonly string[];
  };
  /** Of the CPU that measured: a verdict from another one may not count (`instruction-set.ts`). */
  readonly instructionSet: InstructionSet;
  readonly sizeBefore: number;
  readonly sizeBytes: number;
  /** The most sensitive first; null without `--calibration`. */
  readonly layers: readonly LayerError[] | null;
  readonly search: SearchDocument | null;
  readonly seconds: number;
}

export interface SearchDocument {
  readonly rows: number;
  /** What `quality` is: right answers, the same answers as the float model, or the same direction as its vectors. */
  readonly quality: 'accuracy' | 'agreement' | 'cosine';
  /** As a fraction; null: no margin was given, and everything became int8. */
  readonly margin: number | null;
  readonly holds: boolean | null;
  /** Layers in float in the model that was written. */
  readonly keptFloat: number;
  readonly float: { readonly quality: number | null; readonly sizeBytes: number; readonly latencyMs: number };
  readonly trials: readonly Trial[];
  /** Names on the front of quality, size and latency: `float`, or how many layers stay float. */
  readonly front: readonly ('float' | number)[];
}
