import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { needsReducedRange, readCpuFeatures } from '../../src/onnx/quantize/cpu.ts';
import { quantizationMetadataKey } from '../../src/onnx/quantize/dynamic.ts';
import { quantizeBias, scaleThatFitsBias } from '../../src/onnx/quantize/static/bias.ts';
import { quantizeStatic } from '../../src/onnx/quantize/static/quantize.ts';
import { tensorOf, valuesOf } from '../../src/onnx/tensor.ts';
import { conditional, textClassifier, withGraph } from './models.ts';
import { type Floats, f32, randomFloats, runOnce, seededRandom } from './run.ts';
import { RandomNet, residualNet } from './static-models.ts';

const run = (model: Model, rows: Tensor): Promise<Floats> =>
  runOnce(model, { [rows.name]: f32(rows.dims, valuesOf(rows, 'float32')) });

describe('quantizeStatic', () => {
  let reduceRange: boolean;
  before(async () => {
    reduceRange = needsReducedRange(await readCpuFeatures());
  });

  it('keeps a residual network close to its floats, at a fraction of the bytes', async () => {
    const { model, rows } = residualNet();
    const before = encodeModel(model);
    const calibration = [rows(8), rows(8)];
    const { model: quantized, report } = await quantizeStatic(
      model,
      calibration.map((tensor) => [tensor]),
      { reduceRange },
    );
    assert.deepEqual(encodeModel(model), before, 'the model that came in is changed');
    const fresh = rows(32);
    const [exact, integers] = [
      (await run(model, fresh)).y!,
      (await run(decodeModel(encodeModel(quantized)), fresh)).y!,
    ];
    const power = exact.reduce((sum, value) => sum + value ** 2, 0);
    const noise = exact.reduce((sum, value, i) => sum + (value - integers[i]!) ** 2, 0);
    assert.ok(10 * Math.log10(power / noise) > 25, `${10 * Math.log10(power / noise)} dB`);
    assert.equal(report.calibrationRows, 16);
    assert.equal(report.changed, true);
    assert.ok(report.bytesAfter < 0.6 * report.bytesBefore, `${report.bytesAfter} of ${report.bytesBefore}`);
    const count = (outcome: string): number => report.nodes.filter((node) => node.outcome === outcome).length;
    assert.deepEqual([count('int8'), count('follows'), count('merged'), count('float')], [6, 6, 4, 0]);
    assert.match(quantized.metadata.get(quantizationMetadataKey)!, /"method":"static".*"method":"minMax"/);
  });

  it('takes int8 activations and one scale per weight too', async () => {
    const { model, rows } = residualNet(2);
    const batch = rows(8);
    const { model: quantized, report } = await quantizeStatic(model, [[batch]], {
      perChannel: false,
      activationType: 'int8',
      reduceRange,
    });
    assert.ok(report.weights.every(({ axis }) => axis === null));
    assert.ok(report.activations.every(({ zeroPoint }) => zeroPoint >= -128 && zeroPoint <= 127));
    const [exact, integers] = [(await run(model, batch)).y!, (await run(quantized, batch)).y!];
    const largest = exact.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    for (const [i, value] of exact.entries()) assert.ok(Math.abs(value - integers[i]!) < 0.15 * largest);
  });

  it('gives nodes that are excluded, and what only followed them, back to float', async () => {
    const { model, rows } = residualNet();
    const { model: quantized, report } = await quantizeStatic(model, [[rows(4)]], { exclude: ['Conv_1', 'Gemm_1'] });
    const outcome = (name: string): object => report.nodes.find(({ node }) => node === name)!;
    assert.deepEqual(outcome('Conv_1'), { node: 'Conv_1', opType: 'Conv', outcome: 'float', reason: 'excluded' });
    const add = { node: 'Add_0', opType: 'Add', outcome: 'float', reason: 'an input is not in 8 bits' };
    assert.deepEqual(outcome('Add_0'), add);
    const floats = quantized.graph.initializers.filter(({ type, dims }) => type === 'float32' && dims.length > 1);
    assert.deepEqual(
      floats.map(({ name }) => name),
      ['depthwise.w', 'head.w'],
    );
    await assert.rejects(quantizeStatic(model, [], { exclude: ['Conv_9'] }), /exclude: the model has no node "Conv_9"/);
  });

  it('returns a model itself in which there is nothing to do, and reads no rows', async () => {
    const unread: Iterable<Tensor[]> = { [Symbol.iterator]: () => assert.fail('a batch was read') };
    const model = conditional();
    const { model: same, report } = await quantizeStatic(model, unread);
    assert.equal(same, model);
    assert.equal(report.changed, false);
  });

  it('says why nodes stay float', async () => {
    const g = new GraphBuilder('reasons');
    const x = g.input('x', 'float32', ['batch', 8]);
    const y = g.input('y', 'float32', [8, 8]);
    const w = g.initializer('w', 'float32', [8, 8], randomFloats(64, seededRandom(1)));
    const cube = g.initializer('cube', 'float32', [1, 8, 8], randomFloats(64, seededRandom(1)));
    const perRow = g.initializer('perRow', 'float32', [8, 1], randomFloats(8, seededRandom(1)));
    g.output('a', g.matMul(x, y), ['batch', 8]);
    g.output('b', g.matMul(x, cube), [1, 'batch', 8]);
    g.output('c', g.gemm(y, w, perRow), [8, 8]);
    g.output('d', g.gemm(y, w, undefined, { transA: true }), [8, 8]);
    g.output('e', g.relu(x), ['batch', 8]);
    const { report } = await quantizeStatic(g.toModel(), []);
    assert.deepEqual(
      report.nodes.map((node) => (node.outcome === 'float' ? node.reason : node.outcome)),
      [
        'its second input is not a constant',
        'weight "cube" has rank 3, expected 2',
        'bias "perRow" has shape [8, 1], expected [8]',
        'its first input is transposed (transA)',
        'its input is not in 8 bits',
      ],
    );
  });

  it('refuses scales per channel before operator set 13', async () => {
    const { model, rows } = residualNet();
    const old = { ...model, opsets: new Map([['', 12]]) };
    await assert.rejects(
      quantizeStatic(old, [[rows(1)]]),
      (error: Error) => error instanceof OnnxError && /operator set 12; scales per channel need 13/.test(error.message),
    );
  });

  it('quantizes a weight once for all nodes that share it, a bias for each', async () => {
    const net = new RandomNet([6]);
    const [w, b] = [net.weight('w', [6, 6]), net.weight('b', [6])];
    net.g.output('y', net.g.gemm(net.g.tanh(net.g.gemm(net.x, w, b)), w, b), ['batch', 6]);
    const rows = net.rows(4);
    const { model, report } = await quantizeStatic(net.g.toModel(), [[rows]], { reduceRange });
    assert.equal(report.weights.length, 1);
    assert.equal(model.graph.initializers.filter(({ type }) => type === 'int32').length, 2);
    const [exact, integers] = [(await run(net.g.toModel(), rows)).y!, (await run(model, rows)).y!];
    for (const [i, value] of exact.entries()) assert.ok(Math.abs(value - integers[i]!) < 0.05);
  });

  it('feeds float readers of a value that is also quantized the floats themselves', async () => {
    const net = new RandomNet([3, 8]);
    const hidden = net.g.tanh(net.x);
    net.g.output('y', net.g.add(hidden, net.g.matMul(hidden, net.weight('w', [8, 8]))), ['batch', 3, 8]);
    const { model } = await quantizeStatic(net.g.toModel(), [[net.rows(2)]]);
    assert.equal(model.graph.nodes.find(({ opType }) => opType === 'Add')!.inputs[0], hidden.name);
  });

  it('keeps the names of graph outputs, also of those in the middle of integers and of clamped ones', async () => {
    const net = new RandomNet([2, 4, 4]);
    const first = net.g.relu(net.conv(net.x, 'a', [4, 2, 1, 1]));
    net.g.output('middle', first, ['batch', 4, 4, 4]);
    net.g.output('y', net.conv(first, 'b', [2, 4, 1, 1]), ['batch', 2, 4, 4]);
    const rows = net.rows(3);
    const { model } = await quantizeStatic(net.g.toModel(), [[rows]], { reduceRange });
    const [exact, integers] = [await run(net.g.toModel(), rows), await run(model, rows)];
    assert.deepEqual(Object.keys(integers), ['middle', 'y']);
    for (const name of ['middle', 'y']) {
      for (const [i, value] of exact[name]!.entries()) assert.ok(Math.abs(value - integers[name]![i]!) < 0.1, name);
    }
  });

  it('leaves a classifier without a first integer alone but for its dense layers', async () => {
    const model = textClassifier();
    const ids = tensorOf('ids', 'int64', [2, 3], BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n));
    const { report } = await quantizeStatic(model, [[ids]]);
    assert.deepEqual(
      report.nodes.filter(({ outcome }) => outcome === 'int8').map(({ opType }) => opType),
      ['Gemm', 'Gemm'],
    );
  });

  it('treats initializers that a caller may replace as no constants', async () => {
    const net = new RandomNet([4]);
    net.g.output('y', net.g.matMul(net.x, net.weight('w', [4, 4])), ['batch', 4]);
    const model = net.g.toModel();
    const inputs = [...model.graph.inputs, { name: 'w', type: 'float32' as const, dims: [4, 4] }];
    const { report } = await quantizeStatic(withGraph(model, { inputs }), []);
    assert.equal(report.changed, false);
  });
});

describe('the bias of an integer sum', () => {
  it('is rounded half to even at input scale × weight scale', () => {
    const { values, scales } = quantizeBias(Float32Array.of(0.5, 1.5, -2.5, 0.3), 0.5, Float32Array.of(2));
    assert.deepEqual([...values], [0, 2, -2, 0]);
    assert.deepEqual([...scales], [1]);
  });

  it('fits 32 bits once the scale is raised, and is cut off if it is not', () => {
    const [inputScale, weightScale, bias] = [0.01, Math.fround(1e-12), 5];
    const cut = quantizeBias(Float32Array.of(bias), inputScale, Float32Array.of(weightScale));
    assert.equal(cut.values[0], 2 ** 31 - 1);
    const raised = scaleThatFitsBias(weightScale, inputScale, bias);
    const fitted = quantizeBias(Float32Array.of(bias), inputScale, Float32Array.of(raised));
    assert.ok(Math.abs(fitted.values[0]! * fitted.scales[0]! - bias) < 1e-6);
    assert.equal(scaleThatFitsBias(0.01, inputScale, bias), 0.01);
  });

  it('of a channel without weights survives in the network', async () => {
    const g = new GraphBuilder('pruned');
    const x = g.input('x', 'float32', ['batch', 2]);
    const w = g.initializer('w', 'float32', [2, 2], Float32Array.of(0.5, 1e-13, -0.25, 0));
    const b = g.initializer('b', 'float32', [2], Float32Array.of(0.125, 3));
    g.output('y', g.gemm(x, w, b), ['batch', 2]);
    const rows = tensorOf('x', 'float32', [1, 2], Float32Array.of(1, -1));
    const { model, report } = await quantizeStatic(g.toModel(), [[rows]]);
    assert.equal(report.weights[0]!.scalesRaisedForBias, 1);
    const { y } = await run(model, rows);
    assert.ok(Math.abs(y![0]! - 0.875) < 0.01 && Math.abs(y![1]! - 3) < 0.001, String(y));
  });
});
