import type { Tensor } from '../model.ts';
import type { FreshNames } from '../rewrite/names.ts';
import { tensorOf, valuesOf } from '../tensor.ts';
import type { Candidate } from './plan.ts';
import type { WeightOutcome } from './report.ts';
import { type Channel, quantizeMatrix, transposed } from './weight.ts';

/** Names of a quantized weight's initializers. */
export interface StoredWeight {
  readonly quantized: string;
  readonly scale: string;
  /** The stored matrix is [n, k] with scales [n, 1]: a MatMul has to transpose both first. */
  readonly isTransposed: boolean;
}

/** Quantizes weights, each once in each form that the graph needs, however many nodes share it. */
export class WeightStore {
  readonly initializers: Tensor[] = [];
  readonly outcomes: WeightOutcome[] = [];
  private readonly stored = new Map<string, StoredWeight>();
  private readonly tied: ReadonlySet<string>;
  private readonly names: FreshNames;
  private readonly options: { perChannel: boolean; reduceRange: boolean };

  constructor(
    candidates: readonly Candidate[],
    names: FreshNames,
    options: { perChannel: boolean; reduceRange: boolean },
  ) {
    this.names = names;
    this.options = options;
    const withRole = (wanted: (candidate: Candidate) => boolean): Set<string> =>
      new Set(candidates.filter(wanted).map(({ weight }) => weight.name));
    const tables = withRole(({ role }) => role === 'table');
    const outputs = withRole(({ role, alpha }) => role === 'transposed' && alpha === 1);
    // An embedding table that is the output layer too (B [n, k] = table): rows are channels of both, one copy serves.
    this.tied = new Set([...outputs].filter((name) => tables.has(name)));
  }

  /** int8 rows [rows, columns] and scales [rows, 1], so that `Gather(q) × Gather(scale)` gives rows. */
  table({ weight, shape }: Pick<Candidate, 'weight' | 'shape'>): StoredWeight {
    // Gather sums nothing, so a table has all 8 bits, unless a MatMul shares it.
    const reduceRange = this.options.reduceRange && this.tied.has(weight.name);
    return this.once(`${weight.name} rows`, () =>
      this.store(weight, valuesOf(weight, 'float32'), shape, 'row', reduceRange, true),
    );
  }

  /** int8 [k, n] with scales [n] (or one scalar), or the shared table. */
  matrix({ weight, shape, role, alpha }: Candidate): StoredWeight {
    if (role === 'transposed' && alpha === 1 && this.tied.has(weight.name)) return this.table({ weight, shape });
    return this.once(`${weight.name} ${role} ${alpha}`, () => {
      const floats = valuesOf(weight, 'float32');
      const scaled = alpha === 1 ? floats : floats.map((value) => value * alpha);
      const [rows, columns] = shape;
      const channel = this.options.perChannel ? 'column' : 'tensor';
      const { reduceRange } = this.options;
      return role === 'transposed'
        ? this.store(weight, transposed(scaled, shape), [columns, rows], channel, reduceRange, false)
        : this.store(weight, scaled, shape, channel, reduceRange, false);
    });
  }

  private store(
    weight: Tensor,
    floats: Float32Array,
    shape: readonly [number, number],
    channel: Channel,
    reduceRange: boolean,
    isTransposed: boolean,
  ): StoredWeight {
    const { values, scales, error } = quantizeMatrix(floats, shape, channel, { reduceRange });
    const quantized = this.names.fresh(`${weight.name}_quantized`);
    const scale = this.names.fresh(`${weight.name}_scale`);
    const scaleDims = { row: [scales.length, 1], column: [scales.length], tensor: [] }[channel];
    this.initializers.push(tensorOf(quantized, 'int8', shape, values), tensorOf(scale, 'float32', scaleDims, scales));
    this.outcomes.push({
      weight: weight.name,
      quantized,
      shape,
      channel,
      reduceRange,
      error,
      bytesBefore: weight.bytes.byteLength,
      bytesAfter: values.byteLength + scales.byteLength,
    });
    return { quantized, scale, isTransposed };
  }

  private once(key: string, make: () => StoredWeight): StoredWeight {
    const stored = this.stored.get(key) ?? make();
    this.stored.set(key, stored);
    return stored;
  }
}
