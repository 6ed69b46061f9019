import assert from 'node:assert/strict';
import { createRandom, randomFromState } from '../../src/stats/random.ts';
import { betaSample, binomialSample, normalSample } from './simulate.ts';

describe('stats: random', () => {
  it('gives the published sequence of xoshiro128** from the state 1, 2, 3, 4 (test vector of rand_xoshiro)', () => {
    const random = randomFromState([1, 2, 3, 4]);
    assert.deepEqual(
      Array.from({ length: 10 }, () => random.uint32()),
      [11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804],
    );
  });

  it('repeats per seed and differs between seeds', () => {
    const draw = (seed: number) => Array.from({ length: 5 }, createRandom(seed).uniform);
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
    assert.ok(draw(0).every((u) => u > 0 && u < 1));
  });

  it('feeds samplers with the right mean and variance', () => {
    const random = createRandom(1);
    const check = (name: string, sample: () => number, mean: number, variance: number) => {
      const n = 4000;
      const values = Array.from({ length: n }, sample);
      const m = values.reduce((a, b) => a + b, 0) / n;
      const v = values.reduce((a, b) => a + (b - m) ** 2, 0) / n;
      assert.ok(Math.abs(m - mean) < 5 * Math.sqrt(variance / n), `${name}: mean ${m}, expected ${mean}`);
      assert.ok(Math.abs(v / variance - 1) < 0.15, `${name}: variance ${v}, expected ${variance}`);
    };
    check('uniform', random.uniform, 0.5, 1 / 12);
    check('normal', () => normalSample(random), 0, 1);
    check('binomial', () => binomialSample(random, 100, 0.03), 3, 2.91);
    check('binomial, high', () => binomialSample(random, 100, 0.9), 90, 9);
    check('beta', () => betaSample(random, 2, 5), 2 / 7, 10 / (49 * 8));
  });
});
