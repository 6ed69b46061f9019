import { GraphBuilder, type Value } from '../src/onnx/build/graph-builder.ts';
import type { Model } from '../src/onnx/model.ts';
import { createRandom } from '../src/stats/random.ts';

/** What one quantizer process is told, in a JSON file; `test/oracles/onnx_static.py` reads the same. */
export interface StaticTask {
  model: string;
  out: string;
  /** Name of the model's input. */
  input: string;
  /** File of float32 rows. */
  calibration: string;
  /** Shape of one row. */
  shape: readonly number[];
  batch: number;
  method: 'minMax' | 'percentile';
  perChannel: boolean;
  reduceRange: boolean;
}

/** A picture of CIFAR's size: small, so that the forward passes, which both do alike, do not hide all else. */
export const rowShape = [3, 32, 32] as const;

/**
 * ResNet-50 (He et al., arXiv 1512.03385, table 1): 16 bottleneck blocks, 25.5 million weights, 53 convolutions;
 * BatchNormalization is folded already, as quantize_static's documentation asks for. Weights are random with He's spread:
 * time, memory and size are those of a trained one; accuracy is the oracle test's matter.
 */
export function resNet50(): Model {
  const random = createRandom(1);
  const g = new GraphBuilder('resnet-50');
  let layer = 0;
  const weight = (dims: readonly number[], spread: number): Value<'float32'> => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    const uniform = (): number => (random.uniform() * 2 - 1) * spread * Math.sqrt(3);
    return g.initializer(`w${layer++}`, 'float32', dims, Float32Array.from({ length: count }, uniform));
  };
  const conv = (
    x: Value<'float32'>,
    from: number,
    to: number,
    kernel: number,
    { stride = 1, gain = 1 } = {},
  ): Value<'float32'> => {
    const pad = (kernel - 1) / 2;
    const spread = gain * Math.sqrt(2 / (from * kernel ** 2));
    const inputs = [x, weight([to, from, kernel, kernel], spread), weight([to], 0.05)];
    const attributes = { pads: { ints: [pad, pad, pad, pad] }, strides: { ints: [stride, stride] } };
    return g.node('Conv', { inputs, attributes, outputs: ['float32'] })[0];
  };
  const pool = { kernel_shape: { ints: [3, 3] }, strides: { ints: [2, 2] }, pads: { ints: [1, 1, 1, 1] } };
  const stem = g.relu(conv(g.input('x', 'float32', ['batch', ...rowShape]), 3, 64, 7, { stride: 2 }));
  let x = g.node('MaxPool', { inputs: [stem], attributes: pool, outputs: ['float32'] })[0];
  let channels = 64;
  for (const [stage, blocks] of [3, 4, 6, 3].entries()) {
    const inner = 64 * 2 ** stage;
    for (let block = 0; block < blocks; block++) {
      const stride = block === 0 && stage > 0 ? 2 : 1;
      const narrow = g.relu(conv(x, channels, inner, 1));
      // A small gain at the end of a block keeps the sum of blocks from growing, as trained networks do.
      const wide = conv(g.relu(conv(narrow, inner, inner, 3, { stride })), inner, 4 * inner, 1, { gain: 0.3 });
      x = g.relu(g.add(wide, block === 0 ? conv(x, channels, 4 * inner, 1, { stride, gain: 0.7 }) : x));
      channels = 4 * inner;
    }
  }
  const pooled = g.node('GlobalAveragePool', { inputs: [x], outputs: ['float32'] })[0];
  const features = g.node('Flatten', { inputs: [pooled], outputs: ['float32'] })[0];
  g.output('y', g.gemm(features, weight([2048, 1000], 0.02), weight([1000], 0.05)), ['batch', 1000]);
  return g.toModel();
}
