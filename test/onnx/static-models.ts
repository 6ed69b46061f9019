import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { randomFloats, seededRandom } from './run.ts';

type Float = Value<'float32'>;

/** A graph with one float input `x` of this shape (its first dimension varies) and random weights. */
export class RandomNet {
  readonly g = new GraphBuilder('net');
  readonly x: Float;
  private readonly random: () => number;
  private readonly shape: readonly number[];

  constructor(shape: readonly number[], seed = 1) {
    this.shape = shape;
    this.random = seededRandom(seed);
    this.x = this.g.input('x', 'float32', ['batch', ...shape]);
  }

  weight(name: string, dims: readonly number[], scale = 0.3, around = 0): Float {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const values = randomFloats(count, this.random, scale).map((value) => value + around);
    return this.g.initializer(name, 'float32', dims, values);
  }

  conv(x: Float, name: string, dims: readonly number[], { bias = true, ...attributes }: ConvAttributes = {}): Float {
    const inputs = [x, this.weight(`${name}.w`, dims), ...(bias ? [this.weight(`${name}.b`, [dims[0]!])] : [])];
    const given = Object.entries(attributes).map(([key, value]) => [
      key,
      typeof value === 'object' ? { ints: value } : value,
    ]);
    return this.g.node('Conv', { inputs, attributes: Object.fromEntries(given), outputs: ['float32'] })[0];
  }

  batchNorm(x: Float, name: string, channels: number): Float {
    const inputs = [
      x,
      this.weight(`${name}.gamma`, [channels], 0.5, 1),
      this.weight(`${name}.beta`, [channels]),
      this.weight(`${name}.mean`, [channels]),
      this.weight(`${name}.variance`, [channels], 0.5, 1),
    ];
    return this.g.node('BatchNormalization', { inputs, outputs: ['float32'] })[0];
  }

  pool(opType: 'MaxPool' | 'AveragePool', x: Float, kernel: readonly number[]): Float {
    const attributes = { kernel_shape: { ints: kernel }, strides: { ints: kernel } };
    return this.g.node(opType, { inputs: [x], attributes, outputs: ['float32'] })[0];
  }

  op(opType: string, ...inputs: Float[]): Float {
    return this.g.node(opType, { inputs, outputs: ['float32'] })[0];
  }

  rows(count: number): Tensor {
    const size = this.shape.reduce((product, dim) => product * dim, count);
    return tensorOf('x', 'float32', [count, ...this.shape], randomFloats(size, this.random));
  }
}

export interface ConvAttributes {
  bias?: boolean;
  group?: number;
  pads?: readonly number[];
  strides?: readonly number[];
  dilations?: readonly number[];
  auto_pad?: string;
}

/** A small residual network with everything that becomes int8: float32[batch, 5] out of float32[batch, 3, 12, 12]. */
export function residualNet(seed = 1): { model: Model; rows: (count: number) => Tensor } {
  const net = new RandomNet([3, 12, 12], seed);
  const { g } = net;
  const stem = g.relu(
    net.batchNorm(net.conv(net.x, 'stem', [8, 3, 3, 3], { pads: [1, 1, 1, 1], bias: false }), 'bn', 8),
  );
  const depthwise = net.conv(stem, 'depthwise', [8, 1, 3, 3], { pads: [1, 1, 1, 1], group: 8 });
  const joined = net.pool('MaxPool', g.relu(g.add(stem, depthwise)), [2, 2]);
  const second = g.relu(net.pool('MaxPool', net.conv(joined, 'second', [8, 8, 3, 3], { pads: [1, 1, 1, 1] }), [2, 2]));
  const both = g.concat([second, net.conv(second, 'third', [8, 8, 1, 1])], 1);
  const pooled = net.op('Flatten', net.op('GlobalAveragePool', both));
  const hidden = g.relu(
    g.gemm(pooled, net.weight('hidden.w', [12, 16]), net.weight('hidden.b', [12]), { transB: true }),
  );
  g.output('y', g.gemm(hidden, net.weight('head.w', [12, 5]), net.weight('head.b', [5])), ['batch', 5]);
  return { model: g.toModel(), rows: (count) => net.rows(count) };
}

/** Operators of the graph that the CPU provider really runs, in order. */
export async function optimizedOperators(model: Model): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-optimized-'));
  try {
    const path = join(folder, 'optimized.onnx');
    const session = await ort.InferenceSession.create(encodeModel(model), {
      optimizedModelFilePath: path,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 3,
    });
    await session.release();
    return decodeModel(await readFile(path)).graph.nodes.map(({ opType }) => opType);
  } finally {
    await rm(folder, { recursive: true });
  }
}
