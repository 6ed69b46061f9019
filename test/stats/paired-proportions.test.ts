import assert from 'node:assert/strict';
import fc from 'fast-check';
import { binomialPmf, binomialSf, normalCdf } from '../../src/stats/distributions.ts';
import {
  mcnemarMidP,
  pAtMost,
  pairedProportionCurve,
  pairedScore,
  tangoInterval,
} from '../../src/stats/paired-proportions.ts';

/** Exact probability of rejecting at 5 %, when the truth is `difference` at this share of lost rows. */
function rejectionRate(
  rows: number,
  difference: number,
  lostShare: number,
  rejects: (gained: number, lost: number) => boolean,
): number {
  let rate = 0;
  let fewest = 0;
  for (let lost = 0; lost <= rows; lost++) {
    const chance = binomialPmf(lost, rows, lostShare);
    if (chance < 1e-14) continue;
    while (fewest <= rows - lost && !rejects(fewest, lost)) fewest++;
    rate += chance * binomialSf(fewest, rows - lost, (lostShare + difference) / (1 - lostShare));
  }
  return rate;
}

const counts = fc.record({ rows: fc.integer({ min: 1, max: 400 }), a: fc.nat(), b: fc.nat() }).map(({ rows, a, b }) => {
  const gained = a % (rows + 1);
  return { rows, gained, lost: b % (rows - gained + 1) };
});

describe('stats: paired proportions', () => {
  it("gives Tango's interval as published for the airway data of Bentur et al. (Fagerland et al., Stat Med 2014)", () => {
    const { lower, upper } = tangoInterval({ rows: 21, gained: 1, lost: 7 }, 0.95);
    assert.equal(lower.toFixed(3), '-0.517');
    assert.equal(upper.toFixed(3), '-0.026');
  });

  it('gives the McNemar mid-p of the same table: 2·P(X ≤ 1) − P(X = 1) of Binomial(8, ½) = 10/256', () => {
    assert.ok(Math.abs(mcnemarMidP({ rows: 21, gained: 1, lost: 7 }) - 10 / 256) < 1e-15);
    assert.equal(mcnemarMidP({ rows: 21, gained: 0, lost: 0 }), 1);
  });

  it('promotes a candidate that is worse by exactly the margin in at most 5.1 % of all cases (exact enumeration)', () => {
    for (const [rows, margin] of [
      [134, 0.02],
      [200, 0.05],
      [300, 0.01],
    ] as const) {
      const known = new Map<number, boolean>();
      const promotes = (gained: number, lost: number) => {
        const key = gained * 1000 + lost;
        const found = known.get(key) ?? pAtMost({ rows, gained, lost }, -margin) <= 0.05;
        known.set(key, found);
        return found;
      };
      for (const disagreement of [margin, 2 * margin, 0.1, 0.3]) {
        const rate = rejectionRate(rows, -margin, (disagreement + margin) / 2, promotes);
        assert.ok(rate <= 0.051, `${rows} rows, margin ${margin}, disagreement ${disagreement}: ${rate}`);
      }
    }
  });

  it('is needed: the asymptotic score test promotes 6.7 % in the first of these cases', () => {
    const promotes = (gained: number, lost: number) =>
      normalCdf(-pairedScore({ rows: 134, gained, lost }, -0.02)) <= 0.05;
    assert.ok(rejectionRate(134, -0.02, 0.02, promotes) > 0.066);
  });

  it('bounds two models that never disagreed by the rule of three', () => {
    for (const rows of [50, 149, 1000]) {
      const exact = 1 - 0.05 ** (1 / rows);
      assert.ok(Math.abs(pairedProportionCurve({ rows, gained: 0, lost: 0 }).lower(0.05) + exact) < 1e-8);
    }
  });

  it('orders its bounds, mirrors when the models swap, and agrees with its p-values', () => {
    fc.assert(
      fc.property(counts, (table) => {
        const curve = pairedProportionCurve(table);
        const swapped = pairedProportionCurve({ ...table, gained: table.lost, lost: table.gained });
        const lower = curve.lower(0.05);
        const upper = curve.upper(0.05);
        assert.ok(-1 <= lower && lower <= curve.estimate && curve.estimate <= upper && upper <= 1);
        assert.ok(Math.abs(lower + swapped.upper(0.05)) < 1e-8);
        assert.ok(curve.lower(0.01) <= lower + 1e-8);
        assert.ok(curve.pAbove(lower - 1e-6) <= 0.05 + 1e-3 || lower === -1);
        assert.ok(curve.pAbove(lower + 1e-6) > 0.05 - 1e-3 || lower === 1);
      }),
      { numRuns: 60 },
    );
  });

  it('lets a gained row never lower the bound', () => {
    fc.assert(
      fc.property(counts, (table) => {
        fc.pre(table.gained + table.lost < table.rows);
        const better = pairedProportionCurve({ ...table, gained: table.gained + 1 });
        assert.ok(better.lower(0.05) >= pairedProportionCurve(table).lower(0.05) - 1e-8);
      }),
      { numRuns: 60 },
    );
  });
});
