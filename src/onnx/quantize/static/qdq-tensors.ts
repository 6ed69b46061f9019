import type { Attribute, Node, Tensor } from '../../model.ts';
import type { FreshNames } from '../../rewrite/names.ts';
import { tensorOf, tensorSize, valuesOf } from '../../tensor.ts';
import type { ValueRange } from '../calibrate/value-range.ts';
import { type QuantizedType, quantizationParameters } from '../scale.ts';
import { quantizeBias, scaleThatFitsBias } from './bias.ts';
import { layoutOf, quantizeChannels } from './channel-weights.ts';
import type { ScaleGroup } from './plan.ts';
import type { ActivationOutcome, StaticWeightOutcome } from './report.ts';
import type { WeightedNode } from './weighted-node.ts';

export interface Precision {
  readonly perChannel: boolean;
  readonly reduceRange: boolean;
  readonly activationType: QuantizedType;
}

interface StoredScale {
  readonly scaleName: string;
  readonly zeroPointName: string;
  readonly scale: number;
}
interface StoredWeight {
  /** The value that the node reads: DequantizeLinear's output. */
  readonly dequantized: string;
  readonly scales: Float32Array;
}

/** Makes the constants of a quantized graph: scales by group, weights once for all nodes that share them, biases. */
export class QdqTensors {
  readonly initializers: Tensor[] = [];
  readonly weights: StaticWeightOutcome[] = [];
  readonly activations: ActivationOutcome[] = [];
  private readonly scales = new Map<string, StoredScale>();
  private readonly stored = new Map<string, StoredWeight>();
  private readonly zeros = new Map<string, string>();
  private readonly names: FreshNames;
  private readonly ranges: ReadonlyMap<string, ValueRange>;
  private readonly precision: Precision;

  constructor(names: FreshNames, ranges: ReadonlyMap<string, ValueRange>, precision: Precision) {
    this.names = names;
    this.ranges = ranges;
    this.precision = precision;
  }

  /** Scale and zero point of a group's values. */
  scaleOf({ range: value }: ScaleGroup): StoredScale {
    const known = this.scales.get(value);
    if (known !== undefined) return known;
    const { min, max } = this.ranges.get(value)!;
    const type = this.precision.activationType;
    const { scale, zeroPoint } = quantizationParameters(min, max, { type, symmetric: false, reduceRange: false });
    const scaleName = this.names.fresh(`${value}_scale`);
    const zeroPointName = this.names.fresh(`${value}_zero_point`);
    this.initializers.push(
      tensorOf(scaleName, 'float32', [], Float32Array.of(scale)),
      type === 'uint8'
        ? tensorOf(zeroPointName, 'uint8', [], Uint8Array.of(zeroPoint))
        : tensorOf(zeroPointName, 'int8', [], Int8Array.of(zeroPoint)),
    );
    this.activations.push({ value, min, max, scale, zeroPoint });
    const stored = { scaleName, zeroPointName, scale };
    this.scales.set(value, stored);
    return stored;
  }

  /** The names of the node's weight and bias behind their DequantizeLinear; new nodes go to `into`. */
  weighted(node: Node, weighted: WeightedNode, inputScale: number, into: Node[]): { weight: string; bias?: string } {
    const bias = weighted.bias && biasOf(weighted);
    const weight = this.weight(weighted, bias, inputScale, into);
    if (weighted.bias === undefined || bias === undefined) return { weight: weight.dequantized };
    const { values, scales } = quantizeBias(bias, inputScale, weight.scales);
    const name = this.names.fresh(`${weighted.bias.name}_quantized`);
    const scaleName = this.names.fresh(`${name}_scale`);
    const dequantized = this.names.fresh(`${weighted.bias.name}_dequantized`);
    this.initializers.push(
      tensorOf(name, 'int32', [values.length], values),
      tensorOf(scaleName, 'float32', scales.length === 1 ? [] : [scales.length], scales),
    );
    into.push(
      this.dequantize(
        `${node.name}_bias_dequantize`,
        [name, scaleName],
        dequantized,
        scales.length > 1 ? 0 : undefined,
      ),
    );
    return { weight: weight.dequantized, bias: dequantized };
  }

  private weight(
    { weight, axis, alpha }: WeightedNode,
    bias: Float32Array | undefined,
    inputScale: number,
    into: Node[],
  ): StoredWeight {
    const { perChannel, reduceRange } = this.precision;
    const layout = perChannel ? layoutOf(weight.dims, axis) : { channels: 1, inner: elements(weight) };
    const adjusted: number[] = [];
    const largestBias = (channel: number): number => {
      if (bias === undefined) return 0;
      return perChannel ? Math.abs(bias[channel]!) : bias.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    };
    const fit = (scale: number, channel: number): number => {
      const fitted = scaleThatFitsBias(scale, inputScale, largestBias(channel));
      if (fitted !== scale) adjusted.push(channel, fitted);
      return fitted;
    };
    const floats = valuesOf(weight, 'float32');
    const scaled = alpha === 1 ? floats : floats.map((value) => value * alpha);
    const quantized = quantizeChannels(scaled, layout, { reduceRange }, fit);
    const { values, scales, sqnrDb } = quantized;
    // Two nodes share the integers unless their biases need other scales.
    const key = JSON.stringify([weight.name, axis, alpha, adjusted]);
    const known = this.stored.get(key);
    if (known !== undefined) return known;
    const name = this.names.fresh(`${weight.name}_quantized`);
    const scaleName = this.names.fresh(`${weight.name}_scale`);
    const dequantized = this.names.fresh(`${weight.name}_dequantized`);
    this.initializers.push(
      tensorOf(name, 'int8', weight.dims, values),
      tensorOf(scaleName, 'float32', perChannel ? [scales.length] : [], scales),
    );
    const inputs = [name, scaleName, this.zeroPoints(perChannel ? [scales.length] : [])];
    into.push(this.dequantize(`${weight.name}_dequantize`, inputs, dequantized, perChannel ? axis : undefined));
    this.weights.push({
      weight: weight.name,
      quantized: name,
      dims: weight.dims,
      axis: perChannel ? axis : null,
      sqnrDb,
      scalesRaisedForBias: adjusted.length / 2,
      bytesBefore: tensorSize(weight),
      bytesAfter: values.byteLength + scales.byteLength,
    });
    const stored = { dequantized, scales };
    this.stored.set(key, stored);
    return stored;
  }

  /** Zeros of one shape serve all weights. Zero is the default, but without it the engine does not fuse a Gemm. */
  private zeroPoints(dims: readonly number[]): string {
    const key = dims.join();
    const known = this.zeros.get(key);
    if (known !== undefined) return known;
    const name = this.names.fresh(`zero_points_${key || 'scalar'}`);
    this.initializers.push(tensorOf(name, 'int8', dims, new Int8Array(dims[0] ?? 1)));
    this.zeros.set(key, name);
    return name;
  }

  private dequantize(name: string, inputs: readonly string[], output: string, axis: number | undefined): Node {
    const attributes: Attribute[] = axis === undefined ? [] : [{ name: 'axis', type: 'int', value: axis }];
    return {
      name: this.names.fresh(name),
      opType: 'DequantizeLinear',
      domain: '',
      inputs,
      outputs: [output],
      attributes,
    };
  }
}

const elements = ({ dims }: Tensor): number => dims.reduce((product, dim) => product * dim, 1);

/** The bias as it is added to each channel: times beta, and one value for all channels written out. */
function biasOf({ bias, beta, weight, axis }: WeightedNode): Float32Array {
  const floats = valuesOf(bias!, 'float32');
  const scaled = beta === 1 ? floats : floats.map((value) => value * beta);
  const channels = weight.dims[axis]!;
  return scaled.length === channels ? scaled : new Float32Array(channels).fill(scaled[0]!);
}
