import { strict as assert } from 'node:assert';
import { GraphBuilder, type Value } from '../../../src/onnx/build/graph-builder.ts';
import type { Dim } from '../../../src/onnx/model.ts';
import { differentiate } from '../../../src/onnx/train/differentiate.ts';
import { type Feeds, f32, randomFloats, seededRandom, withSession } from '../run.ts';

export interface Operand {
  readonly dims: readonly number[];
  readonly values?: Float32Array;
  /** What the graph is told; the sizes themselves unless a test hides them. */
  readonly declared?: readonly Dim[];
}
type Floats = Value<'float32'>;
export type Build = (g: GraphBuilder, ...inputs: Floats[]) => Floats;

/** Numbers that are no closer to 0, and no closer to each other, than the steps of the differences. */
export function apart(count: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const order = Array.from({ length: count }, (_, i) => i).sort(() => random() - 0.5);
  return Float32Array.from(order, (place) => (random() < 0.5 ? -1 : 1) * (0.3 + (place + 0.5) / count + place * 0.15));
}

/**
 * Compares the gradient of Σ y · r (y: what `build` makes, r: random) with central differences of fourth order,
 * (f(x − 2h) − 8 f(x − h) + 8 f(x + h) − f(x + 2h)) / 12h, summed in double precision. Returns the relative error by each
 * operand, ‖difference‖ / ‖gradient‖.
 */
export async function gradientErrors(
  build: Build,
  operands: readonly Operand[],
  { seed = 1, h = 0.02, skip = [] as readonly number[] } = {},
): Promise<number[]> {
  const random = seededRandom(seed);
  const names = operands.map((_, i) => `x${i}`);
  const values = operands.map(
    ({ dims, values }) =>
      values ??
      randomFloats(
        dims.reduce((a, b) => a * b, 1),
        random,
      ),
  );
  const forward = new GraphBuilder('forward');
  const inputs = operands.map(({ dims, declared }, i) => forward.input(names[i]!, 'float32', declared ?? dims));
  forward.output('y', build(forward, ...inputs), []);
  const shapeless = withoutOutputShapes(forward);
  const feedsOf = (all: readonly Float32Array[]): Feeds =>
    Object.fromEntries(operands.map(({ dims }, i) => [names[i]!, f32(dims, all[i]!)]));

  return withSession(shapeless, async (run) => {
    const y = (await run(feedsOf(values))).y!;
    const r = randomFloats(y.length, random);
    const loss = async (all: readonly Float32Array[]): Promise<number> =>
      (await run(feedsOf(all))).y!.reduce((sum, value, i) => sum + value * r[i]!, 0);
    const gradients = await analytic(build, operands, names, feedsOf(values), r);
    const errors: number[] = [];
    for (const [i, gradient] of gradients.entries()) {
      if (skip.includes(i)) continue;
      assert.equal(gradient.length, values[i]!.length, `gradient by operand ${i} has another size`);
      let [wrong, size] = [0, 0];
      for (let at = 0; at < gradient.length; at++) {
        const moved = (by: number): Promise<number> =>
          loss(values.map((all, k) => (k === i ? all.map((value, n) => (n === at ? value + by : value)) : all)));
        const slope =
          ((await moved(-2 * h)) - 8 * (await moved(-h)) + 8 * (await moved(h)) - (await moved(2 * h))) / (12 * h);
        wrong += (slope - gradient[at]!) ** 2;
        size += slope ** 2;
      }
      errors.push(Math.sqrt(wrong / Math.max(size, 1e-12)));
    }
    return errors;
  });
}

async function analytic(
  build: Build,
  operands: readonly Operand[],
  names: readonly string[],
  feeds: Feeds,
  r: Float32Array,
): Promise<Float32Array[]> {
  const g = new GraphBuilder('loss');
  const inputs = operands.map(({ dims, declared }, i) => g.input(names[i]!, 'float32', declared ?? dims));
  const y = g.reshape(build(g, ...inputs), [-1]);
  g.output('loss', g.reduceSum(g.mul(y, g.input('r', 'float32', [r.length])), []), []);
  const model = differentiate(g.toModel(), { loss: 'loss', by: names }, ({ g: backward, gradients }) => {
    for (const [name, value] of gradients) {
      const { dims, declared } = operands[names.indexOf(name)]!;
      backward.output(`d${name}`, value, declared ?? dims);
    }
  });
  const outputs = await withSession(model, (run) => run({ ...feeds, r: f32([r.length], r) }));
  return names.map((name) => outputs[`d${name}`]!);
}

/** The result's rank is the graph's own business. */
function withoutOutputShapes(g: GraphBuilder) {
  const model = g.toModel();
  return { ...model, graph: { ...model.graph, outputs: model.graph.outputs.map((o) => ({ ...o, dims: undefined })) } };
}
