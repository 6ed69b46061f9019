import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import {
  nextStep,
  paretoFront,
  searchFewestFloat,
  type Trial,
  type TrialFigures,
} from '../../src/onnx/quantize/search.ts';

/** A model that holds from `needed` float layers on; each float layer costs a byte. */
const figures = (keptFloat: number, needed: number): TrialFigures => ({
  quality: keptFloat >= needed ? 0.9 : 0.8,
  loss: keptFloat >= needed ? 0 : 0.1,
  lossUpper: keptFloat >= needed ? 0.005 : 0.1 - keptFloat / 100_000,
  sizeBytes: 100 + keptFloat,
  latencyMs: 1,
});

async function search(layers: number, needed: number, maxTrials: number, before: readonly Trial[] = []) {
  const measured: number[] = [];
  const result = await searchFewestFloat({
    layers,
    maxTrials,
    margin: 0.01,
    before,
    measure: async (keptFloat) => {
      measured.push(keptFloat);
      return figures(keptFloat, needed);
    },
    onTrial: async () => {},
  });
  return { ...result, measured };
}

describe('onnx/quantize/search', () => {
  it('doubles until it holds, then looks for the fewest', async () => {
    assert.deepEqual((await search(40, 0, 20)).measured, [0]);
    assert.deepEqual((await search(40, 1, 20)).measured, [0, 1]);
    assert.deepEqual((await search(40, 6, 20)).measured, [0, 1, 2, 4, 8, 6, 5]);
    assert.deepEqual((await search(6, 9, 20)).measured, [0, 1, 2, 4, 5], 'all layers in float is no int8 model');
  });

  it('finds the fewest float layers in twice the logarithm of their number, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(299), async (layers, anyNeeded) => {
        const needed = anyNeeded % layers;
        const { chosen, holds, measured } = await search(layers, needed, 1_000);
        assert.deepEqual([chosen.keptFloat, holds], [needed, true]);
        assert.ok(measured.length <= 2 * Math.ceil(Math.log2(needed + 2)) + 2, `${measured.length} trials`);
        assert.equal(new Set(measured).size, measured.length, 'nothing twice');
      }),
      { seed: 1 },
    );
  });

  it('goes on from its records as if it had not been cut short, wherever that was', async () => {
    const whole = await search(40, 6, 20);
    for (let done = 0; done <= whole.trials.length; done++) {
      const resumed = await search(40, 6, 20, whole.trials.slice(0, done));
      assert.deepEqual(resumed.measured, whole.measured.slice(done));
      assert.deepEqual(resumed.chosen, whole.chosen);
    }
  });

  it('stops at its budget with the best that holds, else with the least loss', async () => {
    const early = await search(40, 6, 5);
    assert.deepEqual([early.chosen.keptFloat, early.holds, early.measured.length], [8, true, 5]);
    const never = await search(40, 30, 4);
    assert.deepEqual([never.chosen.keptFloat, never.holds], [4, false]);
    assert.deepEqual(nextStep([], 0, 5), { done: null });
  });

  it('does not hold on numbers that are not known', async () => {
    for (const lossUpper of [null, Number.NaN]) {
      const { holds } = await searchFewestFloat({
        layers: 3,
        maxTrials: 2,
        margin: 0.01,
        before: [],
        measure: async (keptFloat) => ({ ...figures(keptFloat, 0), lossUpper }),
        onTrial: async () => {},
      });
      assert.equal(holds, false);
    }
  });

  it('keeps on the front only what nothing else beats', () => {
    const figure = fc.record({
      quality: fc.constantFrom(0.7, 0.8, 0.9),
      loss: fc.constant(null),
      lossUpper: fc.constant(null),
      sizeBytes: fc.integer({ min: 1, max: 4 }),
      latencyMs: fc.integer({ min: 1, max: 4 }),
    });
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1, maxLength: 12 }), (models) => {
        const front = paretoFront(models);
        assert.ok(front.length > 0);
        const asGood = (a: TrialFigures, b: TrialFigures): boolean =>
          a.quality! >= b.quality! && a.sizeBytes <= b.sizeBytes && a.latencyMs <= b.latencyMs;
        for (const model of models)
          assert.ok(
            front.some((best) => asGood(best, model)),
            'nothing good is lost',
          );
        for (const a of front)
          for (const b of front) assert.ok(a === b || !asGood(a, b), 'nothing on it beats another');
      }),
      { seed: 2 },
    );
  });
});
