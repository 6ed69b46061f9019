import assert from 'node:assert/strict';
import { createRandom } from '../../src/stats/random.ts';
import { signedRankCurve } from '../../src/stats/signed-rank.ts';
import { normalSample } from './simulate.ts';

describe('stats: signed-rank bounds', () => {
  // Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", example 3.1 (Hamilton depression scale).
  const depression = [-0.952, 0.147, -1.022, -0.43, -0.62, -0.59, -0.49, 0.08, -0.01];

  it('is the published example: estimate −0.46, one-sided p of 0.019 for a fall', () => {
    const curve = signedRankCurve(depression)!;
    assert.ok(Math.abs(curve.estimate - -0.46) < 1e-9, `${curve.estimate}`);
    assert.ok(Math.abs(curve.pBelow(0) - 10 / 512) < 1e-12, `${curve.pBelow(0)}`);
  });

  it('has bounds that invert the test', () => {
    const random = createRandom(3);
    for (const n of [5, 8, 12]) {
      const curve = signedRankCurve(Array.from({ length: n }, () => normalSample(random)))!;
      const [lower, upper] = [curve.lower(0.05), curve.upper(0.05)];
      assert.ok(lower < curve.estimate && curve.estimate < upper);
      assert.ok(curve.pAbove(lower - 1e-9) <= 0.05 && curve.pAbove(lower + 1e-9) > 0.05, 'lower');
      assert.ok(curve.pBelow(upper + 1e-9) <= 0.05 && curve.pBelow(upper - 1e-9) > 0.05, 'upper');
    }
  });

  it('bounds nothing with fewer than five differences, or one that is not finite', () => {
    assert.equal(signedRankCurve([1, 2, 3, 4]), undefined);
    assert.equal(signedRankCurve([1, 2, 3, 4, Number.NaN]), undefined);
    assert.equal(signedRankCurve([1, 2, 3, 4, Number.POSITIVE_INFINITY]), undefined);
  });

  it('errs in at most 5 % at the limit, however long the tails (simulation)', () => {
    const random = createRandom(17);
    const runs = 2_000;
    let passed = 0;
    for (let run = 0; run < runs; run++) {
      // Two measurements of one thing, in blocks that a busy machine stretches.
      const differences = Array.from({ length: 12 }, () => {
        const busy = Math.exp(2 * normalSample(random));
        return busy * (Math.exp(normalSample(random)) - Math.exp(normalSample(random)));
      });
      if (signedRankCurve(differences)!.lower(0.05) > 0) passed++;
    }
    assert.ok(passed <= 0.05 * runs + 3 * Math.sqrt(0.05 * 0.95 * runs), `${passed} of ${runs}`);
  });
});
