import { floatsOf } from '../floats.ts';
import type { Tensor } from '../model.ts';
import type { FreshNames } from '../rewrite/names.ts';
import { tensorOf, tensorSize } from '../tensor.ts';
import type { Constant, Scope } from './constants.ts';
import type { Candidate } from './plan.ts';
import type { WeightOutcome } from './report.ts';
import { quantizeTable } from './table.ts';
import { type Channel, type QuantizedMatrix, quantizeStack, transposed } from './weight.ts';
import { bytesOfFloats, floatBytesOf } from './weight-values.ts';

/** Names of a quantized weight's initializers. */
export interface StoredWeight {
  readonly quantized: string;
  readonly scale: string;
  /** int8 0, in the shape of the scale: only where an operator wants one (LSTM, DequantizeLinear). */
  readonly zeroPoint?: string;
  /** Which of the scales each row of a table has, uint8 [rows, 1]; where left out, scale [rows, 1] or one for all. */
  readonly codes?: string;
  /** One scale, a scalar, for the whole weight. */
  readonly hasOneScale: boolean;
  /** The stored matrix is [n, k] with scales [n, 1]: a MatMul has to transpose both first. */
  readonly isTransposed: boolean;
}

/** One form of a weight, before it has names. */
interface Form extends QuantizedMatrix {
  readonly dims: readonly number[];
  readonly scaleDims: readonly number[];
  readonly channel: Channel;
  readonly reduceRange: boolean;
  readonly codes?: Uint8Array;
}

/** Quantizes weights, each once in each form that the graphs need, however many nodes share it. */
export class WeightStore {
  readonly outcomes: WeightOutcome[] = [];
  private readonly initializers = new Map<Scope, Tensor[]>();
  private readonly stored = new Map<Constant, Map<string, StoredWeight>>();
  private readonly tied: ReadonlySet<Constant>;
  private readonly summed: ReadonlySet<Constant>;
  private readonly names: FreshNames;
  private readonly options: { perChannel: boolean; reduceRange: boolean };
  private readonly onWeight: (outcome: WeightOutcome) => void;

  constructor(
    candidates: readonly Candidate[],
    names: FreshNames,
    options: { perChannel: boolean; reduceRange: boolean },
    onWeight: (outcome: WeightOutcome) => void,
  ) {
    this.names = names;
    this.options = options;
    this.onWeight = onWeight;
    const withRole = (wanted: (candidate: Candidate) => boolean): Set<Constant> =>
      new Set(candidates.filter(wanted).map(({ weights: [weight] }) => weight));
    const tables = withRole(({ role }) => role === 'table');
    const readOneByOne = withRole(({ role, isSummed }) => role === 'table' && isSummed !== true);
    this.summed = new Set([...tables].filter((constant) => !readOneByOne.has(constant)));
    const outputs = withRole(({ role, alpha }) => role === 'transposed' && alpha === 1);
    // An embedding table that is the output layer too (B [n, k] = table): rows are channels of both, one copy serves.
    this.tied = new Set([...outputs].filter((constant) => tables.has(constant)));
  }

  /** The new initializers of a graph. */
  of(scope: Scope): readonly Tensor[] {
    return this.initializers.get(scope) ?? [];
  }

  /** int8 rows [rows, columns]; scales [rows, 1], so that `Gather(q) × Gather(scale)` gives rows, or fewer (`StoredWeight`). */
  table(constant: Constant): StoredWeight {
    return this.once(constant, 'rows', () => {
      const [rows = 0, columns = 0] = constant.tensor.dims;
      const dims = [rows, columns];
      if (!this.tied.has(constant)) {
        const table = quantizeTable(floatBytesOf(constant.tensor), [rows, columns], {
          isSummed: this.summed.has(constant),
        });
        const scaleDims = table.channel === 'tensor' ? [] : table.codes ? [table.scales.length] : [rows, 1];
        return { ...table, dims, scaleDims, reduceRange: false };
      }
      // The MatMul that shares it sums: its scales are channels there, its range is what that sum allows.
      const { reduceRange } = this.options;
      const matrix = quantizeStack(floatBytesOf(constant.tensor), [1, rows, columns], 'row', { reduceRange });
      return { ...matrix, dims, scaleDims: [rows, 1], channel: 'row', reduceRange };
    });
  }

  /** int8 [.., k, n] with scales [n] ([.., 1, n] in a stack, one scalar for the whole), or the shared table. */
  matrix({ weights: [constant], role, alpha }: Candidate): StoredWeight {
    if (role === 'transposed' && alpha === 1 && this.tied.has(constant)) return this.table(constant);
    return this.once(constant, `${role} ${alpha}`, () => {
      const scaled =
        alpha === 1
          ? floatBytesOf(constant.tensor)
          : bytesOfFloats(floatsOf(constant.tensor).map((value) => value * alpha));
      const { dims } = constant.tensor;
      return role === 'transposed' ? this.turned(scaled, dims) : this.columns(scaled, dims);
    });
  }

  /** An LSTM's [directions, 4·hidden, k] as onnxruntime's kernel reads it: [directions, k, 4·hidden]. */
  gates(constant: Constant): Required<StoredWeight> {
    return this.once(constant, 'gates', () => {
      const [directions = 0, gates = 0, depth = 0] = constant.tensor.dims;
      const { perChannel, reduceRange } = this.options;
      const channel = perChannel ? 'row' : 'tensor';
      const stack = quantizeStack(floatBytesOf(constant.tensor), [directions, gates, depth], channel, { reduceRange });
      const values = new Int8Array(stack.values.length);
      const size = gates * depth;
      for (let at = 0; at < values.length; at += size)
        values.set(transposed(stack.values.subarray(at, at + size), [gates, depth]), at);
      const scaleDims = perChannel ? [directions, gates] : [directions];
      return { ...stack, values, dims: [directions, depth, gates], scaleDims, channel, reduceRange };
    }) as Required<StoredWeight>;
  }

  private columns(floats: Uint8Array, dims: readonly number[]): Form {
    const { perChannel, reduceRange } = this.options;
    if (!perChannel || dims.length === 1) {
      const matrix = quantizeStack(floats, [1, 1, floats.length / 4], 'tensor', { reduceRange });
      return { ...matrix, dims, scaleDims: [], channel: 'tensor', reduceRange };
    }
    const [k, n] = [dims.at(-2)!, dims.at(-1)!];
    const stack = quantizeStack(floats, [floats.length / 4 / (k * n), k, n], 'column', { reduceRange });
    const scaleDims = dims.length === 2 ? [n] : [...dims.slice(0, -2), 1, n];
    return { ...stack, dims, scaleDims, channel: 'column', reduceRange };
  }

  /** From [n, k] to int8 [k, n]: turned round when it is a quarter of the size. */
  private turned(floats: Uint8Array, [n = 0, k = 0]: readonly number[]): Form {
    const { perChannel, reduceRange } = this.options;
    const matrix = quantizeStack(floats, [1, n, k], perChannel ? 'row' : 'tensor', { reduceRange });
    const values = transposed(matrix.values, [n, k]);
    const channel = perChannel ? 'column' : 'tensor';
    return { ...matrix, values, dims: [k, n], scaleDims: perChannel ? [n] : [], channel, reduceRange };
  }

  private once(constant: Constant, form: string, make: () => Form): StoredWeight {
    const forms = this.stored.get(constant) ?? new Map<string, StoredWeight>();
    this.stored.set(constant, forms);
    const stored = forms.get(form) ?? this.store(constant, make(), form);
    forms.set(form, stored);
    return stored;
  }

  private store(constant: Constant, form: Form, as: string): StoredWeight {
    const { values, scales, error, dims, scaleDims, channel, reduceRange, codes: rowCodes } = form;
    const quantized = this.names.fresh(`${constant.name}_quantized`);
    const scale = this.names.fresh(`${constant.name}_scale`);
    const added = [tensorOf(quantized, 'int8', dims, values), tensorOf(scale, 'float32', scaleDims, scales)];
    const isTable = as === 'rows';
    const hasOneScale = scaleDims.length === 0;
    const zeroPoint =
      as === 'gates' || (isTable && hasOneScale) ? this.names.fresh(`${constant.name}_zero_point`) : undefined;
    if (zeroPoint !== undefined) added.push(tensorOf(zeroPoint, 'int8', scaleDims, new Int8Array(scales.length)));
    const codes = rowCodes && this.names.fresh(`${constant.name}_scale_codes`);
    if (codes !== undefined) added.push(tensorOf(codes, 'uint8', [dims[0]!, 1], rowCodes!));
    const there = this.initializers.get(constant.home) ?? [];
    this.initializers.set(constant.home, [...there, ...added]);
    const outcome: WeightOutcome = {
      weight: constant.name,
      quantized,
      shape: dims,
      channel,
      reduceRange,
      error,
      bytesBefore: tensorSize(constant.tensor),
      bytesAfter: added.reduce((sum, { bytes }) => sum + bytes.byteLength, 0),
    };
    this.outcomes.push(outcome);
    this.onWeight(outcome);
    return {
      quantized,
      scale,
      isTransposed: isTable,
      ...(zeroPoint !== undefined && { zeroPoint }),
      ...(codes !== undefined && { codes }),
      hasOneScale,
    };
  }
}
