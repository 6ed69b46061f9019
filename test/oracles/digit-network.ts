import * as ort from 'onnxruntime-node';
import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { adamW, adamWDefaults, biasCorrections } from '../../src/onnx/train/adamw.ts';
import { conv2d, conv2dGradients, maxPool2d, maxPool2dGradient } from '../../src/onnx/train/conv.ts';
import { softmaxCrossEntropy } from '../../src/onnx/train/cross-entropy.ts';
import { seededRandom } from '../onnx/run.ts';
import type { Digits } from './mnist-digits.ts';

/**
 * A small convolutional network for digits: two convolutions with pools, a third with a residual sum, two dense layers.
 * Trained by the engine itself: forward pass, gradients and AdamW are one ONNX graph.
 */
const shapes = {
  w1: [8, 1, 3, 3],
  b1: [8],
  w2: [16, 8, 3, 3],
  b2: [16],
  w3: [16, 16, 3, 3],
  b3: [16],
  w4: [784, 64],
  b4: [64],
  w5: [64, 10],
  b5: [10],
} as const;
type Name = keyof typeof shapes;
const names = Object.keys(shapes) as Name[];
type Parameters = Record<Name, Value<'float32'>>;
export type TrainedDigits = Record<Name, Float32Array>;

const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);
const pad = { pad: 1 };

function forward(g: GraphBuilder, x: Value<'float32'>, p: Parameters) {
  const c1 = g.relu(conv2d(g, x, p.w1, p.b1, pad));
  const p1 = maxPool2d(g, c1, 2);
  const c2 = g.relu(conv2d(g, p1.output, p.w2, p.b2, pad));
  const p2 = maxPool2d(g, c2, 2);
  const sum = g.relu(g.add(p2.output, conv2d(g, p2.output, p.w3, p.b3, pad)));
  const flat = g.reshape(sum, [-1, 784]);
  const hidden = g.relu(g.gemm(flat, p.w4, p.b4));
  return { c1, p1, c2, p2, sum, flat, hidden, logits: g.gemm(hidden, p.w5, p.b5) };
}

/** float32[batch, 10] logits out of float32[batch, 1, 28, 28]. */
export function digitModel(weights: TrainedDigits): Model {
  const g = new GraphBuilder('digits');
  const x = g.input('x', 'float32', ['batch', 1, 28, 28]);
  const constants = names.map((name) => [name, g.initializer(name, 'float32', shapes[name], weights[name])]);
  g.output('logits', forward(g, x, Object.fromEntries(constants) as Parameters).logits, ['batch', 10]);
  return g.toModel();
}

function trainingStep(): Model {
  const g = new GraphBuilder('digits, training step');
  const x = g.input('x', 'float32', ['batch', 1, 28, 28]);
  const targets = g.input('targets', 'float32', ['batch', 10]);
  const schedule = {
    learningRate: g.input('learningRate', 'float32', []),
    correction1: g.input('correction1', 'float32', []),
    correction2: g.input('correction2', 'float32', []),
  };
  const p = Object.fromEntries(names.map((name) => [name, g.input(name, 'float32', shapes[name])])) as Parameters;
  const at = forward(g, x, p);
  const behindRelu = (gradient: Value<'float32'>, output: Value<'float32'>): Value<'float32'> =>
    g.mul(gradient, g.cast(g.greater(output, g.scalar(0)), 'float32'));

  const { loss, gradient: dLogits } = softmaxCrossEntropy(g, at.logits, targets);
  const dHidden = behindRelu(g.gemm(dLogits, p.w5, undefined, { transB: true }), at.hidden);
  const dFlat = g.gemm(dHidden, p.w4, undefined, { transB: true });
  const dSum = behindRelu(g.reshape(dFlat, [-1, 16, 7, 7]), at.sum);
  const third = conv2dGradients(g, at.p2.output, p.w3, dSum, pad);
  const dC2 = behindRelu(maxPool2dGradient(g, at.c2, at.p2.indices, g.add(dSum, third.x), 2), at.c2);
  const second = conv2dGradients(g, at.p1.output, p.w2, dC2, pad);
  const dC1 = behindRelu(maxPool2dGradient(g, at.c1, at.p1.indices, second.x, 2), at.c1);
  const first = conv2dGradients(g, x, p.w1, dC1, pad);
  const gradients: Parameters = {
    w1: first.weight,
    b1: first.bias,
    w2: second.weight,
    b2: second.bias,
    w3: third.weight,
    b3: third.bias,
    w4: g.gemm(at.flat, dHidden, undefined, { transA: true }),
    b4: g.reduceSum(dHidden, [0]),
    w5: g.gemm(at.hidden, dLogits, undefined, { transA: true }),
    b5: g.reduceSum(dLogits, [0]),
  };
  g.output('loss', loss, []);
  for (const name of names) {
    const dims = shapes[name];
    const moment = (which: string) => g.input(`${name}.${which}`, 'float32', dims);
    const state = { weight: p[name], moment1: moment('moment1'), moment2: moment('moment2') };
    const weightDecay = name.startsWith('b') ? 0 : adamWDefaults.weightDecay;
    const next = adamW(g, state, gradients[name], schedule, { ...adamWDefaults, weightDecay });
    g.output(`${name}.next`, next.weight, dims);
    g.output(`${name}.moment1.next`, next.moment1, dims);
    g.output(`${name}.moment2.next`, next.moment2, dims);
  }
  return g.toModel();
}

/** Trains from scratch; the same digits give the same weights on one machine. Returns them with the loss of each epoch. */
export async function trainDigits(
  { pixels, labels }: Digits,
  { epochs = 6, batch = 64, learningRate = 2e-3 } = {},
): Promise<{ weights: TrainedDigits; losses: number[] }> {
  const random = seededRandom(1);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const tensor = (dims: readonly number[], data: Float32Array): ort.Tensor => new ort.Tensor('float32', data, dims);
  const state = new Map<string, ort.Tensor>();
  for (const name of names) {
    const dims = shapes[name];
    const fanIn = name.startsWith('w')
      ? dims.length === 4
        ? sizeOf(dims.slice(1))
        : dims[0]
      : Number.POSITIVE_INFINITY;
    const scale = Math.sqrt(2 / fanIn);
    state.set(
      name,
      tensor(
        dims,
        Float32Array.from({ length: sizeOf(dims) }, () => normal() * scale),
      ),
    );
    for (const moment of ['moment1', 'moment2'])
      state.set(`${name}.${moment}`, tensor(dims, new Float32Array(sizeOf(dims))));
  }
  const session = await ort.InferenceSession.create(encodeModel(trainingStep()), {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const steps = Math.floor(labels.length / batch);
  const losses: number[] = [];
  try {
    for (let step = 0; step < epochs * steps; step++) {
      const from = (step % steps) * batch;
      const targets = new Float32Array(batch * 10);
      for (let row = 0; row < batch; row++) targets[row * 10 + labels[from + row]!] = 1;
      const { correction1, correction2 } = biasCorrections(step + 1);
      const rate = learningRate * 0.5 * (1 + Math.cos((Math.PI * step) / (epochs * steps)));
      const out = await session.run({
        x: tensor([batch, 1, 28, 28], pixels.slice(from * 784, (from + batch) * 784)),
        targets: tensor([batch, 10], targets),
        learningRate: tensor([], Float32Array.of(rate)),
        correction1: tensor([], Float32Array.of(correction1)),
        correction2: tensor([], Float32Array.of(correction2)),
        ...Object.fromEntries(state),
      });
      for (const key of state.keys()) state.set(key, out[`${key}.next`]!);
      const loss = (out.loss!.data as Float32Array)[0]!;
      if (step % steps === 0) losses.push(0);
      losses[losses.length - 1]! += loss / steps;
    }
  } finally {
    await session.release();
  }
  const weights = Object.fromEntries(
    names.map((name) => [name, state.get(name)!.data as Float32Array]),
  ) as TrainedDigits;
  return { weights, losses };
}
