import assert from 'node:assert/strict';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { BatchBuilder } from '../../../recipes/text-classifier/batch.ts';
import { inferenceModel, outputName } from '../../../recipes/text-classifier/inference-graph.ts';
import { randomStream } from '../../../recipes/text-classifier/random.ts';
import { StepRunner, startState } from '../../../recipes/text-classifier/step-runner.ts';
import { TargetBuilder } from '../../../recipes/text-classifier/targets.ts';
import {
  initialWeights,
  type WeightName,
  type Weights,
  weightNames,
} from '../../../recipes/text-classifier/weights.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';

const shape = { buckets: 12, dimensions: 3, hidden: 4, classes: 2 };
const bags = [[1, 2, 3], [4, 5], [2, 6, 7, 8], []].map((ids) => Int32Array.from(ids));
const labels = Int32Array.of(0, 1, 1, 0);
const rows = Int32Array.of(0, 1, 2, 3);
const targets = new TargetBuilder(labels, { classes: 2, labelSmoothing: 0.1, classBalance: 0 }).build(rows);

/** Weights with every embedding at random too; row 0 is padding. */
function someWeights(): Weights {
  const weights = initialWeights(shape, 3);
  const random = randomStream(4);
  for (let i = shape.dimensions; i < weights.table.length; i++) weights.table[i] = random() - 0.5;
  return weights;
}

/** The model once more, in double precision and plain loops: probabilities of each row. */
function forward(weights: Record<WeightName, ArrayLike<number>>): number[][] {
  const { dimensions, hidden, classes } = shape;
  const layer = (input: number[], weight: ArrayLike<number>, bias: ArrayLike<number>, outputs: number) =>
    Array.from({ length: outputs }, (_, o) =>
      input.reduce((sum, value, i) => sum + value * weight[i * outputs + o]!, bias[o]!),
    );
  return bags.map((ids) => {
    const bag = Array.from({ length: dimensions }, (_, d) =>
      [...ids].reduce((sum, id) => sum + weights.table[id * dimensions + d]! / Math.sqrt(ids.length), 0),
    );
    const active = layer(bag, weights['hidden.weight'], weights['hidden.bias'], hidden).map((x) => Math.max(0, x));
    const exponentials = layer(active, weights['output.weight'], weights['output.bias'], classes).map(Math.exp);
    const sum = exponentials.reduce((a, b) => a + b);
    return exponentials.map((x) => x / sum);
  });
}

const lossOf = (weights: Record<WeightName, ArrayLike<number>>): number =>
  forward(weights).reduce(
    (sum, row, r) => sum - row.reduce((s, p, c) => s + targets.targets[r * 2 + c]! * Math.log(p), 0) / bags.length,
    0,
  );

describe('graphs of the text classifier', () => {
  it('have the gradients that finite differences find', async () => {
    const weights = someWeights();
    const original = structuredClone(weights);
    const runner = await StepRunner.create(shape, startState(shape, weights), 0);
    const batch = new BatchBuilder(bags, { buckets: shape.buckets, tokenDropout: 0, minRows: 1, seed: 1 });
    const { loss } = await runner.run(batch.build(rows, 1), targets, 1, 0);
    await runner.release();
    assert.ok(Math.abs(loss - lossOf(original)) < 1e-6);
    let checked = 0;
    for (const name of weightNames) {
      const doubles = Object.fromEntries(weightNames.map((n) => [n, Float64Array.from(original[n])])) as Record<
        WeightName,
        Float64Array
      >;
      for (let i = 0; i < original[name].length; i++) {
        const at = (shift: number) => {
          doubles[name][i] = original[name][i]! + shift;
          return lossOf(doubles);
        };
        const numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
        at(0);
        // From zero moments, the first moment after one step is (1 − 0.9) × gradient.
        const ours = runner.state.moment1[name][i]! / 0.1;
        assert.ok(Math.abs(ours - numeric) < 1e-6 + 1e-4 * Math.abs(numeric), `${name}[${i}]: ${ours}, ${numeric}`);
        if (Math.abs(numeric) > 1e-4) checked++;
      }
    }
    assert.ok(checked > 30, `only ${checked} gradients are not zero`);
  });

  it('answer when served what the same formula gives, padding or not', async () => {
    const weights = someWeights();
    const session = await InferenceSession.create(encodeModel(inferenceModel(weights, shape)));
    const tokens = 6;
    const ids = new Int32Array(bags.length * tokens);
    for (const [r, bag] of bags.entries()) ids.set(bag, r * tokens);
    const output = await session.run({ ids: new Tensor('int32', ids, [bags.length, tokens]) });
    await session.release();
    const probabilities = output[outputName]!;
    assert.deepEqual(probabilities.dims, [bags.length, 2]);
    for (const [i, expected] of forward(weights).flat().entries())
      assert.ok(Math.abs((probabilities.data as Float32Array)[i]! - expected) < 1e-6);
  });

  it('count rows of a rare class more, and all rows one on average', () => {
    const weights = (classBalance: number) => [
      ...new TargetBuilder(Int32Array.of(0, 0, 0, 1), { classes: 2, labelSmoothing: 0, classBalance }).build(rows)
        .rowWeights,
    ];
    assert.deepEqual(weights(0), [1, 1, 1, 1]);
    assert.deepEqual(
      weights(1).map((weight) => weight.toFixed(4)),
      ['0.6667', '0.6667', '0.6667', '2.0000'],
    );
  });
});

describe('batches of the text classifier', () => {
  const options = { buckets: 12, tokenDropout: 0.5, minRows: 1, seed: 1 };

  it('drop the same tokens at the same step, others at another', () => {
    const many = [Int32Array.from({ length: 11 }, (_, i) => i + 1)];
    const touchedAt = (step: number) => [...new BatchBuilder(many, options).build(Int32Array.of(0), step).touched];
    assert.deepEqual(touchedAt(1), touchedAt(1));
    assert.notDeepEqual(touchedAt(1), touchedAt(2));
  });

  it('leave out tokens of too few rows, which still count for the length', () => {
    const { touched, bags: matrix } = new BatchBuilder(bags, { ...options, tokenDropout: 0, minRows: 2 }).build(
      Int32Array.of(0, 2),
      1,
    );
    assert.deepEqual([...touched], [2]);
    assert.deepEqual([...matrix], [Math.fround(1 / Math.sqrt(3)), 0.5]);
  });
});
