import { strict as assert } from 'node:assert';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { quantizeStatic } from '../../src/onnx/quantize/static/quantize.ts';
import { optimizedOperators, RandomNet, residualNet } from './static-models.ts';

/** One row per operator that we quantize: the graph, and what the CPU provider makes of it. */
const graphs: Record<string, { build: () => RandomNet; runs: string[] }> = {
  'Conv 1-D': {
    build: () => {
      const net = new RandomNet([4, 16]);
      net.g.output('y', net.conv(net.x, 'a', [6, 4, 3]), ['batch', 6, 14]);
      return net;
    },
    runs: ['QuantizeLinear', 'QLinearConv', 'DequantizeLinear'],
  },
  'Conv, Relu, depthwise, asymmetric pads': {
    build: () => {
      const net = new RandomNet([4, 9, 9]);
      const first = net.g.relu(net.conv(net.x, 'a', [8, 4, 3, 3], { pads: [1, 0, 2, 1], strides: [2, 2] }));
      net.g.output('y', net.conv(first, 'b', [8, 1, 3, 3], { group: 8, auto_pad: 'SAME_UPPER' }), ['batch', 8, 5, 4]);
      return net;
    },
    runs: ['QuantizeLinear', 'QLinearConv', 'QLinearConv', 'DequantizeLinear'],
  },
  'Conv 3-D, grouped, Clip': {
    build: () => {
      const net = new RandomNet([4, 5, 5, 5]);
      const conv = net.conv(net.x, 'a', [8, 2, 3, 3, 3], { group: 2 });
      const clipped = net.op('Clip', conv, net.g.scalar(0), net.g.scalar(6));
      net.g.output('y', clipped, ['batch', 8, 3, 3, 3]);
      return net;
    },
    runs: ['QuantizeLinear', 'QLinearConv', 'DequantizeLinear'],
  },
  'Gemm, Relu, Gemm': {
    build: () => {
      const net = new RandomNet([16]);
      const hidden = net.g.gemm(net.x, net.weight('a', [16, 16]), net.weight('ab', [16]), { transB: true });
      net.g.output('y', net.g.gemm(net.g.relu(hidden), net.weight('b', [16, 4])), ['batch', 4]);
      return net;
    },
    runs: ['QuantizeLinear', 'QGemm', 'QGemm'],
  },
  'MatMul and bias of matrices, as exporters write Linear': {
    build: () => {
      const net = new RandomNet([16]);
      const hidden = net.g.relu(net.g.add(net.g.matMul(net.x, net.weight('a', [16, 12])), net.weight('ab', [12])));
      net.g.output('y', net.g.add(net.weight('bb', [4]), net.g.matMul(hidden, net.weight('b', [12, 4]))), ['batch', 4]);
      return net;
    },
    runs: ['QuantizeLinear', 'QGemm', 'QGemm'],
  },
  'MatMul of sequences: float out, nothing around the residual Add': {
    build: () => {
      const net = new RandomNet([5, 16]);
      const inner = net.g.tanh(net.g.add(net.g.matMul(net.x, net.weight('a', [16, 24])), net.weight('ab', [24])));
      const out = net.g.add(net.g.matMul(inner, net.weight('b', [24, 16])), net.weight('bb', [16]));
      net.g.output('y', net.g.add(net.x, out), ['batch', 5, 16]);
      return net;
    },
    runs: [
      ...['QuantizeLinear', 'MatMulIntegerToFloat', 'Add', 'Tanh'],
      ...['QuantizeLinear', 'MatMulIntegerToFloat', 'Add', 'Add'],
    ],
  },
  'MatMul, Transpose, MatMul: integers all the way': {
    build: () => {
      const net = new RandomNet([6, 16]);
      const mixed = net.g.transpose(net.g.matMul(net.x, net.weight('a', [16, 16])), [0, 2, 1]);
      net.g.output('y', net.g.matMul(mixed, net.weight('b', [6, 6])), ['batch', 16, 6]);
      return net;
    },
    runs: ['QuantizeLinear', 'QLinearMatMul', 'Transpose', 'MatMulIntegerToFloat'],
  },
  'Conv behind Reshape, Slice, Squeeze and Unsqueeze': {
    build: () => {
      const net = new RandomNet([4, 6, 6]);
      const { g } = net;
      const conv = net.conv(net.x, 'a', [4, 4, 3, 3]);
      const sliced = g.node('Slice', {
        inputs: [conv, g.ints([0]), g.ints([1]), g.ints([2])],
        outputs: ['float32'],
      })[0];
      const squeezed = g.unsqueeze(g.squeeze(sliced, [2]), [2]);
      g.output('y', net.conv(g.reshape(squeezed, [0, 4, 2, 2]), 'b', [4, 4, 1, 1]), ['batch', 4, 2, 2]);
      return net;
    },
    runs: [
      ...['QuantizeLinear', 'QLinearConv', 'Slice', 'Squeeze', 'Unsqueeze', 'Reshape'],
      ...['QLinearConv', 'DequantizeLinear'],
    ],
  },
};

const quantized = async (model: Model, rows: Tensor): Promise<Model> => (await quantizeStatic(model, [[rows]])).model;
/** Moves between the layouts of pictures that the engine adds. */
const isLayout = (opType: string): boolean => opType === 'Transpose';

describe('static quantization in the graph that the engine optimised', () => {
  for (const [name, { build, runs }] of Object.entries(graphs)) {
    it(name, async () => {
      const net = build();
      const operators = await optimizedOperators(await quantized(net.g.toModel(), net.rows(4)));
      const layout = runs.some(isLayout) ? [] : operators.filter(isLayout);
      assert.deepEqual(
        operators.filter((opType) => !layout.includes(opType)),
        runs,
      );
    });
  }

  it('a residual network: integers from its input to its output', async () => {
    const { model, rows } = residualNet();
    const operators = await optimizedOperators(await quantized(model, rows(4)));
    assert.deepEqual(
      operators.filter((opType) => !isLayout(opType)),
      [
        ...['QuantizeLinear', 'QLinearConv', 'QLinearConv', 'QLinearAdd', 'NhwcMaxPool', 'QLinearConv', 'NhwcMaxPool'],
        ...['QLinearConv', 'QLinearConcat', 'QLinearGlobalAveragePool', 'Flatten', 'QGemm', 'QGemm'],
      ],
    );
  });
});
