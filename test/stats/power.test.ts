import assert from 'node:assert/strict';
import fc from 'fast-check';
import { holmAdjusted, holmRejects } from '../../src/stats/holm.ts';
import { pairedProportionCurve } from '../../src/stats/paired-proportions.ts';
import { rowsToDecide, rowsToResolve, rowsWithoutEvent } from '../../src/stats/power.ts';
import { createRandom } from '../../src/stats/random.ts';
import { binomialSample } from './simulate.ts';

describe('stats: power', () => {
  it('plans as DESIGN §5 says: 6.18·d/margin²; 6 % disagreement needs 3,710 rows for 1 pt and 928 for 2 pt', () => {
    assert.equal(rowsToResolve(0.06, 0.01), 3710);
    assert.equal(rowsToResolve(0.06, 0.02), 928);
    assert.ok(Math.abs(rowsToResolve(1, 0.001)! / 1e6 - 6.18) < 0.01);
  });

  it('keeps its promise: with the planned rows a truly equal candidate passes in about 80 % (simulation)', () => {
    const random = createRandom(21);
    const rows = rowsToResolve(0.06, 0.02)!;
    let passed = 0;
    for (let run = 0; run < 150; run++) {
      const lost = binomialSample(random, rows, 0.03);
      const gained = binomialSample(random, rows - lost, 0.03 / 0.97);
      if (pairedProportionCurve({ rows, gained, lost }).pAbove(-0.02) <= 0.05) passed++;
    }
    assert.ok(passed >= 107 && passed <= 135, `${passed} of 150`);
  });

  it('needs the rule of three even of models that never disagreed, and has no answer for no margin', () => {
    assert.equal(rowsWithoutEvent(0.02), 149);
    assert.equal(rowsWithoutEvent(0), null);
    assert.equal(rowsToResolve(0.06, 0), null);
    const never = pairedProportionCurve({ rows: 100, gained: 0, lost: 0 });
    assert.equal(rowsToDecide(never, -0.02, { expected: 0, worstRows: rowsWithoutEvent(0.02) }), 149);
  });

  it('plans from the estimate once the rows for a true zero are there', () => {
    const close = pairedProportionCurve({ rows: 2000, gained: 30, lost: 60 });
    const needed = rowsToDecide(close, -0.02, { expected: 0, worstRows: 149 })!;
    assert.ok(needed > 2000);
    const onTheLimit = pairedProportionCurve({ rows: 2000, gained: 30, lost: 70 });
    assert.equal(rowsToDecide(onTheLimit, -0.02, { expected: 0, worstRows: 149 }), null);
  });
});

describe("stats: Holm's correction", () => {
  it('adjusts as R does: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")', () => {
    assert.deepEqual(
      holmAdjusted([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(12))),
      [0.03, 0.06, 0.06, 0.02],
    );
    assert.deepEqual(holmRejects([0.01, 0.04, 0.03, 0.005], 0.05), [true, false, false, true]);
    assert.deepEqual(holmRejects([], 0.05), []);
  });

  it('rejects no more than uncorrected, no less than Bonferroni, whatever the order; NaN never', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 }), (ps) => {
        const rejected = holmRejects(ps, 0.05);
        for (const [i, p] of ps.entries()) {
          if (rejected[i]) assert.ok(p <= 0.05);
          if (p <= 0.05 / ps.length) assert.ok(rejected[i]);
        }
        assert.deepEqual(holmRejects([...ps].reverse(), 0.05), [...rejected].reverse());
        assert.equal(holmRejects([...ps, Number.NaN], 0.05).at(-1), false);
      }),
    );
  });
});
