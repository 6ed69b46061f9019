import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import { differentiate } from '../../../src/onnx/train/differentiate.ts';
import { MissingGradientError } from '../../../src/onnx/train/error.ts';
import { differentiableOperators } from '../../../src/onnx/train/gradient/rules.ts';
import { apart, type Build, gradientErrors, type Operand } from './finite-differences.ts';

const tolerance = 1e-3;
const size = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
const tested = new Set<string>();

async function check(operators: string, build: Build, operands: readonly Operand[], options = {}): Promise<void> {
  for (const name of operators.split(' ')) tested.add(name);
  const errors = await gradientErrors(build, operands, options);
  for (const [i, error] of errors.entries()) assert.ok(error < tolerance, `${operators} by operand ${i}: ${error}`);
}

const float =
  (opType: string, attributes = {}): Build =>
  (g, ...inputs) =>
    g.node(opType, { inputs, attributes, outputs: ['float32'] })[0];
/** Above 0, for operators that are defined there. */
const positive = (dims: readonly number[]): Operand => ({ dims, values: apart(size(dims), 5).map(Math.abs) });
const kinked = (dims: readonly number[]): Operand => ({ dims, values: apart(size(dims), 3) });

describe('gradients against finite differences', function () {
  this.timeout(30_000);

  const dims = [2, 3];
  const unary: [string, Operand][] = [
    ...['Identity', 'Neg', 'Exp', 'Sigmoid', 'Tanh', 'Erf', 'Softmax', 'LogSoftmax'].map((name): [string, Operand] => [
      name,
      { dims },
    ]),
    ...['Log', 'Sqrt'].map((name): [string, Operand] => [name, positive(dims)]),
    ...['Relu', 'Abs'].map((name): [string, Operand] => [name, kinked(dims)]),
  ];
  for (const [name, operand] of unary) it(name, () => check(name, float(name), [operand]));

  it('Gelu, as the engine has it', () =>
    check(
      'Gelu',
      (g, x) => {
        g.importDomain('com.microsoft', 1);
        return g.node('Gelu', { inputs: [x], outputs: ['float32'], domain: 'com.microsoft' })[0];
      },
      [{ dims: [3, 4], values: apart(12, 2).map((x) => x * 1.5) }],
    ));

  it('Softmax and LogSoftmax over an axis that is not the last', async () => {
    await check('Softmax', (g, x) => g.softmax(x, 1), [{ dims: [2, 3, 2] }]);
    await check('LogSoftmax', (g, x) => g.logSoftmax(x, 0), [{ dims }]);
  });

  it('Add, Sub, Mul, Div, Max, Min and Where broadcast like numpy, sizes known or not', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 0, maxLength: 3 });
    const names = ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Where'] as const;
    const arbitrary = fc.record({
      name: fc.constantFrom(...names),
      dims: sizes,
      ones: fc.tuple(fc.nat(7), fc.nat(7)),
      drop: fc.nat(3),
      isKnown: fc.boolean(),
    });
    let cases = 0;
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ name, dims: all, ones, drop, isKnown }) => {
        const shrink = (bits: number) => all.map((n, i) => ((bits >> i) & 1 ? 1 : n));
        const shapes = [shrink(ones[0]), shrink(ones[1]).slice(Math.min(drop, all.length))];
        const values = apart(
          shapes.reduce((sum, shape) => sum + size(shape), 0),
          7 + cases++,
        );
        const operands = shapes.map(
          (shape, i): Operand => ({
            dims: shape,
            values: i === 0 ? values.slice(0, size(shape)) : values.slice(values.length - size(shape)),
            ...(isKnown ? {} : { declared: shape.map(() => undefined) }),
          }),
        );
        const build: Build =
          name === 'Where' ? (g, a, b) => g.where(g.greater(g.add(a, b), g.scalar(0)), a, b) : float(name);
        await check(name, build, operands, { h: 0.004 });
      }),
      { numRuns: 60, seed: 11, endOnFailure: true },
    );
  });

  it('Pow by base and exponent', async () => {
    for (const exponent of [2, 3, 0.5, -1])
      await check('Pow', (g, x) => float('Pow')(g, x, g.scalar(exponent)), [positive(dims)]);
    await check('Pow', float('Pow'), [positive(dims), { dims: [3] }]);
  });

  it('MatMul: dense layers, batches, broadcast batches, unknown sizes', async () => {
    const shapes: [number[], number[]][] = [
      [
        [2, 3],
        [3, 2],
      ],
      [
        [2, 2, 3],
        [3, 2],
      ],
      [
        [2, 2, 2, 3],
        [2, 2, 3, 2],
      ],
      [
        [2, 1, 2, 3],
        [2, 3, 2],
      ],
      [
        [2, 3],
        [2, 3, 2],
      ],
    ];
    for (const [a, b] of shapes) {
      await check('MatMul', float('MatMul'), [{ dims: a }, { dims: b }]);
      const hidden = (dims: number[]): Operand => ({ dims, declared: dims.map(() => undefined) });
      await check('MatMul', float('MatMul'), [hidden(a), hidden(b)]);
    }
  });

  it('Gemm in all its forms', () =>
    fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom<number[]>([3, 4], [4], [1], [3, 1], []),
        async (transA, transB, c) => {
          const build: Build = (g, ...x) => g.gemm(x[0]!, x[1]!, x[2], { alpha: 0.7, beta: 1.5, transA, transB });
          await check('Gemm', build, [
            { dims: transA ? [2, 3] : [3, 2] },
            { dims: transB ? [4, 2] : [2, 4] },
            { dims: c },
          ]);
        },
      ),
      { numRuns: 12, seed: 5 },
    ));

  it('ReduceSum, ReduceMean and ReduceL2 over any axes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom('reduceSum' as const, 'reduceMean' as const, 'reduceL2' as const),
        fc.constantFrom<number[]>([], [0], [1], [-1], [0, 2], [0, 1, 2]),
        fc.boolean(),
        fc.boolean(),
        async (method, axes, keepDims, isKnown) => {
          const name = `R${method.slice(1)}`;
          const operand = { ...kinked([2, 3, 2]), ...(isKnown ? {} : { declared: ['a', 3, undefined] }) };
          await check(name, (g, x) => g[method](x, axes, { keepDims }), [operand]);
        },
      ),
      { numRuns: 25, seed: 3 },
    ));

  it('LayerNormalization by all three', () =>
    check('LayerNormalization', (g, x, scale, bias) => g.layerNormalization(x, scale!, bias!, 1e-5), [
      { dims: [2, 3, 4], values: apart(24, 9) },
      { dims: [4] },
      { dims: [4] },
    ]));

  it('Gather with repeated, negative, scalar and matrix indices', async () => {
    const indices: [readonly number[], readonly number[]][] = [
      [[4], [0, 2, 0, -1]],
      [
        [2, 2],
        [1, 1, 2, 0],
      ],
      [[], [1]],
    ];
    for (const [shape, values] of indices)
      for (const axis of [0, 1, -1])
        for (const declared of [undefined, ['a', 'b', 3] as const]) {
          const build: Build = (g, x) =>
            g.gather(x, g.initializer('i', 'int64', shape, BigInt64Array.from(values, BigInt)), axis);
          await check('Gather', build, [{ dims: [3, 3, 3], ...(declared && { declared }) }]);
        }
  });

  it('Slice from both ends, with steps, over several axes', async () => {
    const slice =
      (starts: number[], ends: number[], axes?: number[], steps?: number[]): Build =>
      (g, x) =>
        g.node('Slice', {
          inputs: [x, g.ints(starts), g.ints(ends), axes && g.ints(axes), steps && g.ints(steps)],
          outputs: ['float32'],
        })[0];
    for (const build of [
      slice([1], [3]),
      slice([-2], [9_999], [1]),
      slice([3, 0], [0, 2], [1, 0], [-2, 1]),
      slice([0, 1], [2, 4]),
    ])
      await check('Slice', build, [{ dims: [3, 4], declared: ['rows', 'columns'] }]);
  });

  it('Concat, Reshape, Squeeze, Unsqueeze, Transpose, Expand', async () => {
    const pair = [{ dims: [2, 1, 3] }, { dims: [2, 2, 3] }];
    await check('Concat', (g, a, b) => g.concat([a!, b!], 1), pair);
    await check(
      'Concat',
      (g, a, b) => g.concat([a!, b!], -2),
      pair.map((x) => ({ ...x, declared: ['n', undefined, 3] })),
    );
    for (const declared of [undefined, ['a', 'b', 4], [undefined, undefined, undefined]]) {
      const operand = { dims: [2, 3, 4], ...(declared && { declared }) };
      await check('Reshape', (g, x) => g.reshape(x, [0, -1, 2]), [operand]);
      await check('Reshape', (g, x) => g.reshape(x, [0, 0, 2, 2]), [operand]);
      await check('Unsqueeze Squeeze', (g, x) => g.squeeze(g.unsqueeze(g.exp(x), [1, -1]), [1]), [operand]);
      await check('Transpose', (g, x) => g.transpose(x, [2, 0, 1]), [operand]);
      await check('Transpose', float('Transpose'), [operand]);
    }
    await check('Expand', (g, x) => g.node('Expand', { inputs: [x, g.ints([2, 3, 2])], outputs: ['float32'] })[0], [
      { dims: [3, 1] },
    ]);
  });

  it('a value that is used twice gets the sum', () =>
    check('Mul', (g, x) => g.mul(g.add(x, g.tanh(x)), g.add(x, x)), [{ dims }]));

  it('every operator that has a rule was tried', () => {
    assert.deepEqual([...tested].sort(), [...differentiableOperators]);
  });
});

describe('what has no gradient', () => {
  const model = (build: Build) => {
    const g = new GraphBuilder('forward');
    g.output('loss', g.reduceSum(build(g, g.input('x', 'float32', ['n', 4])), []), []);
    return g.toModel();
  };
  const derive = (build: Build) => differentiate(model(build), { loss: 'loss', by: ['x'] }, () => undefined);

  it('names the operator and the node', () => {
    assert.throws(
      () => derive(float('Det')),
      (error: unknown) => {
        assert.ok(error instanceof MissingGradientError);
        assert.equal(error.opType, 'Det');
        assert.equal(error.type, 'InvalidInput');
        assert.match(error.message, /node "Det_0": Det has no gradient/);
        return true;
      },
    );
    assert.throws(() => derive((g, x) => g.cast(g.cast(x, 'int64'), 'float32')), /Cast has no gradient/);
    assert.throws(
      () =>
        derive(
          (g, x) => g.node('LayerNormalization', { inputs: [x, x], attributes: { axis: 0 }, outputs: ['float32'] })[0],
        ),
      /LayerNormalization has a gradient over the last axis/,
    );
  });

  it('does not mind operators beside the way from the weights to the loss', async () => {
    const g = new GraphBuilder('forward');
    const x = g.input('x', 'float32', [2]);
    const [beside] = g.node('Floor', { inputs: [x], outputs: ['float32'] });
    g.output('loss', g.reduceSum(g.mul(x, beside), []), []);
    differentiate(g.toModel(), { loss: 'loss', by: ['x'] }, ({ gradients }) => assert.ok(gradients.has('x')));
  });

  it('says when the loss does not depend on what is asked for', () => {
    assert.throws(() => derive((g) => g.input('other', 'float32', [2])), /"loss" does not depend on "x"/);
  });
});
