import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { adamW, adamWDefaults, biasCorrections } from '../../src/onnx/train/adamw.ts';
import { softmaxCrossEntropy } from '../../src/onnx/train/cross-entropy.ts';
import { f32, randomFloats, seededRandom, withSession } from './run.ts';

const rows = 32;
const shapes = { w1: [6, 16], b1: [16], w2: [16, 3], b2: [3] } as const;
const weights = Object.keys(shapes) as (keyof typeof shapes)[];
const size = (name: keyof typeof shapes): number => shapes[name].reduce((a: number, b) => a * b, 1);

/** Two layers with ReLU, softmax cross-entropy; backward pass by hand; AdamW. State goes in and comes out. */
function mlpTrainingStep(): Model {
  const g = new GraphBuilder('mlp training step');
  const x = g.input('x', 'float32', ['batch', 6]);
  const targets = g.input('targets', 'float32', ['batch', 3]);
  const schedule = {
    learningRate: g.input('learningRate', 'float32', []),
    correction1: g.input('correction1', 'float32', []),
    correction2: g.input('correction2', 'float32', []),
  };
  const w1 = g.input('w1', 'float32', shapes.w1);
  const b1 = g.input('b1', 'float32', shapes.b1);
  const w2 = g.input('w2', 'float32', shapes.w2);
  const b2 = g.input('b2', 'float32', shapes.b2);

  const hidden = g.relu(g.gemm(x, w1, b1));
  const { loss, gradient: dLogits } = softmaxCrossEntropy(g, g.gemm(hidden, w2, b2), targets);

  const active = g.cast(g.greater(hidden, g.scalar(0)), 'float32');
  const dHidden = g.mul(g.gemm(dLogits, w2, undefined, { transB: true }), active);
  const gradients = {
    w1: g.gemm(x, dHidden, undefined, { transA: true }),
    b1: g.reduceSum(dHidden, [0]),
    w2: g.gemm(hidden, dLogits, undefined, { transA: true }),
    b2: g.reduceSum(dLogits, [0]),
  };

  g.output('loss', loss, []);
  for (const [name, weight] of Object.entries({ w1, b1, w2, b2 }) as [keyof typeof shapes, typeof w1][]) {
    const dims = shapes[name];
    const state = {
      weight,
      moment1: g.input(`${name}.moment1`, 'float32', dims),
      moment2: g.input(`${name}.moment2`, 'float32', dims),
    };
    const weightDecay = name.startsWith('b') ? 0 : adamWDefaults.weightDecay;
    const next = adamW(g, state, gradients[name], schedule, { ...adamWDefaults, weightDecay });
    g.output(`${name}.gradient`, gradients[name], dims);
    g.output(`${name}.next`, next.weight, dims);
    g.output(`${name}.moment1.next`, next.moment1, dims);
    g.output(`${name}.moment2.next`, next.moment2, dims);
  }
  return g.toModel();
}

describe('a training step as an ONNX graph', () => {
  const random = seededRandom(7);
  const x = randomFloats(rows * 6, random);
  const labels = Array.from({ length: rows }, () => Math.floor(random() * 3)); // no rule behind them: only memory helps
  const targets = Float32Array.from({ length: rows * 3 }, (_, i) => Number(labels[Math.floor(i / 3)] === i % 3));
  const initial = Object.fromEntries(weights.map((name) => [name, randomFloats(size(name), random, 0.5)]));
  const model = mlpTrainingStep();

  const feeds = (state: Record<string, Float32Array>, step: number) => ({
    x: f32([rows, 6], x),
    targets: f32([rows, 3], targets),
    learningRate: f32([], [0.02]),
    correction1: f32([], [biasCorrections(step).correction1]),
    correction2: f32([], [biasCorrections(step).correction2]),
    ...Object.fromEntries(
      weights.flatMap((name) =>
        [name, `${name}.moment1`, `${name}.moment2`].map((key) => [
          key,
          f32(shapes[name], state[key] ?? new Float32Array(size(name))),
        ]),
      ),
    ),
  });

  it('has the gradients that finite differences give', async () => {
    await withSession(model, async (run) => {
      const base = await run(feeds(initial, 1));
      let checked = 0;
      for (const name of weights) {
        for (let i = 0; i < size(name); i += 5) {
          const lossAt = async (shift: number): Promise<number> => {
            const moved = Float32Array.from(initial[name]!);
            moved[i]! += shift;
            return (await run(feeds({ ...initial, [name]: moved }, 1))).loss![0]!;
          };
          const h = 1e-3;
          const numeric = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
          const analytic = base[`${name}.gradient`]![i]!;
          // a float32 loss rounds by ~1e-7 / 2h, and a ReLU that switches inside ±h bends the secant
          assert.ok(
            Math.abs(numeric - analytic) < 5e-4 + 0.01 * Math.abs(analytic),
            `${name}[${i}]: numeric ${numeric}, analytic ${analytic}`,
          );
          checked++;
        }
      }
      assert.equal(checked, 35);
    });
  });

  it('memorises 32 rows with random labels', async () => {
    await withSession(model, async (run) => {
      let state: Record<string, Float32Array> = initial;
      const losses: number[] = [];
      for (let step = 1; step <= 300; step++) {
        const out = await run(feeds(state, step));
        losses.push(out.loss![0]!);
        state = Object.fromEntries(
          weights.flatMap((name) => [
            [name, out[`${name}.next`]!],
            [`${name}.moment1`, out[`${name}.moment1.next`]!],
            [`${name}.moment2`, out[`${name}.moment2.next`]!],
          ]),
        );
      }
      assert.ok(losses[0]! > 0.9, `starts at chance, loss ${losses[0]}`);
      assert.ok(losses.at(-1)! < 0.02, `ends with all rows known, loss ${losses.at(-1)}`);
    });
  });
});

describe('adamW', () => {
  it('follows the paper in double precision over several steps', async () => {
    const g = new GraphBuilder('adamW');
    const names = ['weight', 'moment1', 'moment2'] as const;
    const [weight, moment1, moment2] = names.map((name) => g.input(name, 'float32', [4]));
    const gradient = g.input('gradient', 'float32', [4]);
    const schedule = {
      learningRate: g.input('learningRate', 'float32', []),
      correction1: g.input('correction1', 'float32', []),
      correction2: g.input('correction2', 'float32', []),
    };
    const options = { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weightDecay: 0.1 };
    const next = adamW(g, { weight: weight!, moment1: moment1!, moment2: moment2! }, gradient, schedule, options);
    for (const name of names) g.output(`${name}.next`, next[name], [4]);

    const random = seededRandom(3);
    let state: Record<(typeof names)[number], Float32Array> = {
      weight: randomFloats(4, random),
      moment1: new Float32Array(4),
      moment2: new Float32Array(4),
    };
    const reference = { w: [...state.weight], m: [0, 0, 0, 0], v: [0, 0, 0, 0] };
    await withSession(g.toModel(), async (run) => {
      for (let t = 1; t <= 8; t++) {
        const gradients = randomFloats(4, random);
        const learningRate = 0.1 / t;
        const corrections = biasCorrections(t, options);
        const out = await run({
          ...Object.fromEntries(names.map((name) => [name, f32([4], state[name])])),
          gradient: f32([4], gradients),
          learningRate: f32([], [learningRate]),
          correction1: f32([], [corrections.correction1]),
          correction2: f32([], [corrections.correction2]),
        });
        state = { weight: out['weight.next']!, moment1: out['moment1.next']!, moment2: out['moment2.next']! };
        for (const [i, dw] of gradients.entries()) {
          reference.m[i] = options.beta1 * reference.m[i]! + (1 - options.beta1) * dw;
          reference.v[i] = options.beta2 * reference.v[i]! + (1 - options.beta2) * dw * dw;
          const mHat = reference.m[i]! / (1 - options.beta1 ** t);
          const vHat = reference.v[i]! / (1 - options.beta2 ** t);
          reference.w[i]! -= learningRate * (mHat / (Math.sqrt(vHat) + options.epsilon) + 0.1 * reference.w[i]!);
          assert.ok(Math.abs(state.weight[i]! - reference.w[i]!) < 2e-6, `step ${t}, weight ${i}`);
        }
      }
    });
  });
});
