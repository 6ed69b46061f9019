import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { conv2d, conv2dGradients, maxPool2d, maxPool2dGradient } from '../../src/onnx/train/conv.ts';
import { f32, randomFloats, seededRandom, withSession } from './run.ts';

const shapes = { x: [2, 2, 6, 6], weight: [3, 2, 3, 3], bias: [3], factor: [2, 3, 3, 3] } as const;
type Name = keyof typeof shapes;
const names = ['x', 'weight', 'bias'] as const;
const size = (name: Name): number => shapes[name].reduce((product: number, dim) => product * dim, 1);

/** loss = Σ factor · maxPool(conv(x)), with the gradients of all three inputs. */
function lossAndGradients() {
  const g = new GraphBuilder('conv gradients');
  const [x, weight, bias, factor] = [...names, 'factor' as const].map((name) => g.input(name, 'float32', shapes[name]));
  const convolved = conv2d(g, x!, weight!, bias!, { pad: 1 });
  const { output, indices } = maxPool2d(g, convolved, 2);
  g.output('loss', g.reduceSum(g.mul(output, factor!), []), []);
  const dConvolved = maxPool2dGradient(g, convolved, indices, factor!, 2);
  const gradients = conv2dGradients(g, x!, weight!, dConvolved, { pad: 1 });
  for (const name of names) g.output(`${name}.gradient`, gradients[name], shapes[name]);
  return g.toModel();
}

describe('convolution and max pooling for training', () => {
  it('have the gradients that finite differences give', async () => {
    const random = seededRandom(11);
    const values = Object.fromEntries(
      Object.keys(shapes).map((name) => [name, randomFloats(size(name as Name), random)]),
    ) as Record<Name, Float32Array>;
    await withSession(lossAndGradients(), async (run) => {
      const feeds = (changed: Partial<Record<Name, Float32Array>>) =>
        Object.fromEntries(
          Object.entries({ ...values, ...changed }).map(([name, data]) => [name, f32(shapes[name as Name], data)]),
        );
      const at = await run(feeds({}));
      const h = 1e-3;
      for (const name of names) {
        for (let i = 0; i < size(name); i += 3) {
          const lossAt = async (shift: number): Promise<number> => {
            const moved = Float32Array.from(values[name]);
            moved[i]! += shift;
            return (await run(feeds({ [name]: moved }))).loss![0]!;
          };
          const numeric = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
          const analytic = at[`${name}.gradient`]![i]!;
          // float32 sums of ~50 terms round by ~1e-6, over 2h; a window whose largest number changes bends the secant
          assert.ok(
            Math.abs(numeric - analytic) < 5e-3 + 0.01 * Math.abs(analytic),
            `${name}[${i}]: ${numeric}, ${analytic}`,
          );
        }
      }
    });
  });
});
