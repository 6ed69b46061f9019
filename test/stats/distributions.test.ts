import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  betaCdf,
  betaQuantile,
  binomialCdf,
  binomialPmf,
  binomialSf,
  normalCdf,
  normalQuantile,
} from '../../src/stats/distributions.ts';
import { lnBeta, lnGamma } from '../../src/stats/special-functions.ts';

const close = (actual: number, expected: number, relative: number) =>
  assert.ok(
    Math.abs(actual - expected) <= relative * Math.max(Math.abs(expected), 1e-300),
    `${actual} is not ${expected} within ${relative}`,
  );

describe('stats: distributions', () => {
  it('agrees with tabulated values (Abramowitz and Stegun, tables 6.1 and 26.1)', () => {
    close(normalCdf(1.96), 0.9750021048517795, 1e-14);
    close(normalCdf(-8), 6.220960574271786e-16, 1e-12);
    close(normalQuantile(0.975), 1.959963984540054, 1e-14);
    close(lnGamma(0.5), Math.log(Math.sqrt(Math.PI)), 1e-13);
    close(lnGamma(101), 363.73937555556347, 1e-14);
  });

  it('keeps its precision where ln Γ cancels: a binomial of a million trials sums to one', () => {
    let sum = 0;
    for (let k = 490_000; k <= 510_000; k++) sum += binomialPmf(k, 1e6, 0.5);
    close(sum, 1, 1e-12);
    close(lnBeta(1e6, 2e6), lnGamma(1e6) + lnGamma(2e6) - lnGamma(3e6), 1e-12);
  });

  it('inverts: quantile and cdf undo each other', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-12, max: 1 - 1e-12, noNaN: true }), (p) => {
        close(normalCdf(normalQuantile(p)), p, 1e-11);
      }),
    );
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true }),
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 5000 }),
        (p, a, b) => close(betaCdf(betaQuantile(p, a, b), a, b), p, 1e-8),
      ),
    );
  });

  it('has tails that add to one', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.nat(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (n, seed, p) => {
          const k = seed % (n + 1);
          close(binomialCdf(k - 1, n, p) + binomialSf(k, n, p), 1, 1e-12);
        },
      ),
    );
  });

  it('answers NaN for levels outside [0, 1], never a number', () => {
    for (const p of [-0.1, 1.1, Number.NaN]) {
      assert.ok(Number.isNaN(normalQuantile(p)));
      assert.ok(Number.isNaN(betaQuantile(p, 2, 3)));
    }
    assert.equal(normalQuantile(0), Number.NEGATIVE_INFINITY);
    assert.equal(normalQuantile(1), Number.POSITIVE_INFINITY);
  });
});
