import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import { contrastiveLoss, crossEntropyLoss, maskedDropout, meanSquaredError } from '../../../src/onnx/train/losses.ts';
import { parametersOf } from '../../../src/onnx/train/parameters.ts';
import { learningRateAt, type ScheduleShape } from '../../../src/onnx/train/schedule.ts';
import { type MicroBatch, TrainingSession } from '../../../src/onnx/train/session.ts';
import { f32, randomFloats, seededRandom, withSession } from '../run.ts';
import { type Build, gradientErrors, type Operand } from './finite-differences.ts';

/** Value of a loss on constants. */
async function lossOf(build: Build, ...operands: [readonly number[], readonly number[]][]): Promise<number> {
  const g = new GraphBuilder('loss');
  const inputs = operands.map(([dims], i) => g.input(`x${i}`, 'float32', dims));
  g.output('loss', build(g, ...inputs), []);
  const feeds = Object.fromEntries(operands.map(([dims, values], i) => [`x${i}`, f32(dims, values)]));
  return (await withSession(g.toModel(), (run) => run(feeds))).loss![0]!;
}

describe('losses', () => {
  const targets = (g: GraphBuilder) => g.initializer('t', 'float32', [2, 2], Float32Array.of(1, 0, 0.25, 0.75));

  it('have the values of their definitions', async () => {
    const entropy: Build = (g, z, w) => crossEntropyLoss(g, z, targets(g), w!);
    // Logits of 0 say ½ each: ln 2 for every target.
    assert.ok(
      Math.abs(
        (await lossOf(
          entropy,
          [
            [2, 2],
            [0, 0, 0, 0],
          ],
          [[2], [1, 3]],
        )) -
          2 * Math.LN2,
      ) < 1e-6,
    );
    assert.equal(await lossOf((g, a, b) => meanSquaredError(g, a, b!), [[2], [1, 2]], [[2], [0, 4]]), 2.5);
    const alike: Build = (g, a, b) =>
      contrastiveLoss(g, a, b!, g.initializer('i', 'float32', [2, 2], Float32Array.of(1, 0, 0, 1)), 1);
    const expected = Math.log(1 + Math.exp(-1));
    assert.ok(
      Math.abs(
        (await lossOf(
          alike,
          [
            [2, 2],
            [1, 0, 0, 1],
          ],
          [
            [2, 2],
            [1, 0, 0, 1],
          ],
        )) - expected,
      ) < 1e-6,
    );
  });

  const losses: [string, Build, Operand[]][] = [
    ['cross-entropy', (g, z, w) => crossEntropyLoss(g, z, targets(g), w!), [{ dims: [2, 2] }, { dims: [2] }]],
    ['mean squared error', (g, a, b) => meanSquaredError(g, a, b!), [{ dims: [2, 3] }, { dims: [2, 3] }]],
    ['contrastive', (g, a, b) => contrastiveLoss(g, a, b!, targets(g), 5), [{ dims: [2, 3] }, { dims: [2, 3] }]],
    [
      'dropout',
      (g, x) => maskedDropout(g, x, g.initializer('m', 'float32', [3], Float32Array.of(2, 0, 2))),
      [{ dims: [2, 3] }],
    ],
  ];
  for (const [name, build, operands] of losses)
    it(`${name}: its gradient is that of finite differences`, async () => {
      for (const error of await gradientErrors(build, operands)) assert.ok(error < 1e-3, `${error}`);
    });
});

describe('a training session', () => {
  const random = seededRandom(3);
  const [rows, width] = [6, 4];
  const x = randomFloats(rows * width, random);
  const y = randomFloats(rows, random);
  const start = randomFloats(width, random);
  const forward = () => {
    const g = new GraphBuilder('regression');
    const w = g.initializer('w', 'float32', [width, 1], start);
    const b = g.initializer('b', 'float32', [1], Float32Array.of(0.5));
    const output = g.gemm(g.input('x', 'float32', ['rows', width]), w, b);
    g.output('loss', meanSquaredError(g, g.tanh(output), g.input('y', 'float32', ['rows', 1])), []);
    return g.toModel();
  };
  const part = (from: number, to: number): MicroBatch => ({
    feeds: {
      x: f32([to - from, width], x.subarray(from * width, to * width)),
      y: f32([to - from, 1], y.subarray(from, to)),
    },
    share: (to - from) / rows,
  });

  async function train(cuts: readonly number[], accumulates: boolean) {
    const trainable = ['w', 'b'];
    const parameters = parametersOf(forward(), trainable);
    const session = await TrainingSession.create(forward(), parameters, {
      loss: 'loss',
      trainable,
      threads: 1,
      accumulates,
    });
    const results = [];
    for (let step = 1; step <= 5; step++) {
      const batches = cuts.slice(1).map((to, i) => part(cuts[i]!, to));
      results.push(await session.run(batches, { step, learningRate: 0.1, maxGradientNorm: 0.05 }));
    }
    const before = parameters.get('w')!.weight.slice();
    const { loss } = await session.evaluate(part(0, rows).feeds);
    assert.deepEqual(parameters.get('w')!.weight, before, 'evaluation trained');
    await session.release();
    return { results, weight: parameters.get('w')!.weight, last: loss![0]! };
  }

  it('makes the same steps from a whole batch and from its parts, and does not touch the model it was made of', async () => {
    const [whole, cut] = [await train([0, 6], false), await train([0, 1, 4, 6], true)];
    assert.ok(whole.last < whole.results[0]!.loss);
    assert.ok(whole.results[0]!.gradientNorm > 0.05, 'nothing was clipped');
    for (const [i, value] of whole.weight.entries()) assert.ok(Math.abs(value - cut.weight[i]!) < 1e-5);
    for (const [i, { loss, gradientNorm }] of whole.results.entries()) {
      assert.ok(Math.abs(loss - cut.results[i]!.loss) < 1e-5);
      assert.ok(Math.abs(gradientNorm - cut.results[i]!.gradientNorm) < 1e-5);
    }
    assert.notDeepEqual(whole.weight, start);
    assert.ok(Math.abs((await train([0, 6], true)).last - whole.last) < 1e-6);
  });

  it('refuses parts when it was not made for them', async () => {
    await assert.rejects(train([0, 3, 6], false), /expected one batch/);
  });

  it('follows its schedule', () => {
    const rates = (shape: ScheduleShape) =>
      [1, 2, 3, 7, 10].map((step) => learningRateAt(step, { shape, learningRate: 1, steps: 10, warmupSteps: 2 }));
    assert.deepEqual(rates('constant'), [0, 0.5, 1, 1, 1]);
    assert.deepEqual(rates('linear'), [0, 0.5, 1, 0.5, 0.125]);
    assert.deepEqual(
      rates('cosine').map((rate) => rate.toFixed(3)),
      ['0.000', '0.500', '1.000', '0.500', '0.038'],
    );
  });
});
