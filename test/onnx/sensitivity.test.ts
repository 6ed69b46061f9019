import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import { LayerErrors, nodesKeptFloat, sensitivityProbe } from '../../src/onnx/quantize/sensitivity.ts';
import { nodeOf, textClassifier, withGraph } from './models.ts';
import { f32, i64, randomFloats, runOnce, seededRandom } from './run.ts';

/** Three layers of width 16; the middle one's activations have an outlier that eats the 8 bits of all others. */
function withOutlier() {
  const random = seededRandom(1);
  const g = new GraphBuilder('outlier');
  const x = g.input('x', 'float32', ['batch', 16]);
  const layer = (name: string) => g.initializer(name, 'float32', [16, 16], randomFloats(256, random, 0.3));
  const first = layer('first');
  const spread = g.initializer(
    'spread',
    'float32',
    [16],
    Float32Array.from({ length: 16 }, (_, i) => (i === 3 ? 500 : 1)),
  );
  const shrink = g.initializer(
    'shrink',
    'float32',
    [16],
    Float32Array.from({ length: 16 }, (_, i) => (i === 3 ? 0 : 1)),
  );
  const h = g.mul(g.matMul(x, first), spread);
  const middle = g.mul(g.matMul(h, g.initializer('middle', 'float32', [16, 16], quiet(random))), shrink);
  g.output('y', g.matMul(middle, layer('last')), ['batch', 16]);
  return g.toModel();
}

/** Row 3, which meets the outlier, is zero: the float product does not feel it, the int8 one loses its digits to it. */
function quiet(random: () => number): Float32Array {
  return randomFloats(256, random, 0.3).map((value, i) => (Math.floor(i / 16) === 3 ? 0 : value));
}

describe('onnx/quantize/sensitivity', () => {
  it('ranks the layer first whose activations an outlier spoils, and keeping it in float cures the model', async () => {
    const model = withOutlier();
    const probe = sensitivityProbe(model);
    const errors = new LayerErrors(probe);
    const x = f32([32, 16], randomFloats(512, seededRandom(2)));
    const outputs = await runOnce(probe.model, { x });
    errors.add((name) => outputs[name]!);
    const ranked = errors.ranked();
    assert.deepEqual(
      ranked.map(({ weights }) => weights),
      [['middle'], ...ranked.slice(1).map(({ weights }) => weights)],
    );
    assert.ok(ranked[0]!.sqnrDb! < ranked[1]!.sqnrDb! - 15, JSON.stringify(ranked));

    const float = (await runOnce(model, { x })).y!;
    assert.deepEqual(outputs.y, float, 'the probe computes what the model computes');
    const loss = async (exclude: readonly string[]): Promise<number> => {
      const int8 = (await runOnce(quantizeDynamic(model, { exclude }).model, { x })).y!;
      return Math.sqrt(float.reduce((sum, y, i) => sum + (y - int8[i]!) ** 2, 0));
    };
    assert.ok((await loss(nodesKeptFloat(ranked, 1))) < 0.2 * (await loss([])));
  });

  it('measures what quantizing that layer alone does, in dB', async () => {
    const model = withOutlier();
    const probe = sensitivityProbe(model);
    const x = f32([32, 16], randomFloats(512, seededRandom(2)));
    const outputs = await runOnce(probe.model, { x });
    const errors = new LayerErrors(probe);
    errors.add((name) => outputs[name]!);
    const last = errors.ranked().find(({ weights }) => weights[0] === 'last')!;
    const others = probe.layers.filter(({ weights }) => weights[0] !== 'last').flatMap(({ nodes }) => nodes);
    const alone = quantizeDynamic(model, { exclude: others }).model;
    const [float, int8] = [(await runOnce(model, { x })).y!, (await runOnce(alone, { x })).y!];
    const shares = Array.from({ length: 16 }, (_, c) => {
      let [signal, noise] = [0, 0];
      for (let i = c; i < float.length; i += 16) {
        signal += float[i]! ** 2;
        noise += (float[i]! - int8[i]!) ** 2;
      }
      return noise / signal;
    });
    const mean = shares.reduce((sum, share) => sum + share, 0) / 16;
    assert.ok(Math.abs(last.sqnrDb! + 10 * Math.log10(mean)) < 0.01);
  });

  it('adds up batches, and covers tables, Gemm and nodes that share a weight as one layer', async () => {
    const probe = sensitivityProbe(textClassifier());
    const errors = new LayerErrors(probe);
    for (const seed of [1, 2]) {
      const ids = i64(
        [4, 6],
        Array.from({ length: 24 }, (_, i) => (i * 7 + seed) % 50),
      );
      const outputs = await runOnce(probe.model, { ids });
      errors.add((name) => outputs[name]!);
    }
    const ranked = errors.ranked();
    assert.deepEqual(ranked.flatMap(({ weights }) => weights).sort(), ['table', 'w1', 'w2']);
    assert.ok(
      ranked.every(({ sqnrDb }) => sqnrDb! > 30 && sqnrDb! < 60),
      JSON.stringify(ranked),
    );

    const g = new GraphBuilder('tied');
    const table = g.initializer('table', 'float32', [9, 8], randomFloats(72, seededRandom(1)));
    g.output('y', g.gemm(g.gather(table, g.input('ids', 'int64', ['batch'])), table, undefined, { transB: true }), [
      'batch',
      9,
    ]);
    const { layers } = sensitivityProbe(g.toModel());
    assert.deepEqual(
      layers.map(({ nodes, weights }) => [nodes.length, weights]),
      [[2, ['table']]],
    );
  });

  it('lists what lies in a body of If last: it cannot be measured, but it can be kept in float', () => {
    const base = textClassifier();
    const body = {
      name: 'body',
      nodes: [nodeOf('MatMul', ['probabilities', 'inner'], ['inner_y'])],
      initializers: [
        {
          ...base.graph.initializers.find(({ name }) => name === 'w1')!,
          name: 'inner',
          dims: [3, 16],
          bytes: new Uint8Array(192),
        },
      ],
      inputs: [],
      outputs: [{ name: 'inner_y', type: 'float32' as const, dims: undefined }],
      valueInfo: [],
    };
    const model = withGraph(base, {
      inputs: [...base.graph.inputs, { name: 'condition', type: 'bool', dims: [] }],
      nodes: [
        ...base.graph.nodes,
        nodeOf('If', ['condition'], ['z'], {
          attributes: [
            { name: 'then_branch', type: 'graph', value: body },
            { name: 'else_branch', type: 'graph', value: body },
          ],
        }),
      ],
    });
    const probe = sensitivityProbe(model);
    assert.deepEqual([probe.layers.length, probe.sums.length], [5, 3]);
    const ranked = new LayerErrors(probe).ranked();
    assert.deepEqual(
      ranked.slice(3).map(({ sqnrDb }) => sqnrDb),
      [null, null],
    );
    assert.equal(quantizeDynamic(model, { exclude: nodesKeptFloat(ranked, 5) }).report.changed, false);
  });
});
