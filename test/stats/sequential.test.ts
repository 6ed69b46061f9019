import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createRandom, type Random } from '../../src/stats/random.ts';
import { bettingEvidence, type Trials, tooOften, tooRarely, twoSampleEvidence } from '../../src/stats/sequential.ts';

interface Canary {
  weight: number;
  /** Error rates at request i. */
  candidate: (i: number) => number;
  stable: (i: number) => number;
  margin: number;
  requests: number;
  /** e that rolls back. */
  needed: number;
}

/** The request at which a canary is rolled back under continuous peeking; undefined when it is not. */
function rolledBackAt(random: Random, canary: Canary): number | undefined {
  const [ours, theirs]: [Trials, Trials] = [
    { trials: 0, events: 0 },
    { trials: 0, events: 0 },
  ];
  for (let i = 1; i <= canary.requests; i++) {
    const isCandidate = random.uniform() < canary.weight;
    const variant = isCandidate ? ours : theirs;
    const failed = random.uniform() < (isCandidate ? canary.candidate(i) : canary.stable(i));
    variant.trials++;
    if (failed) variant.events++;
    // Evidence leaps with the candidate's errors and only creeps with stable's successes.
    if ((failed && isCandidate) || i % 50 === 0)
      if (twoSampleEvidence(ours, theirs, canary.margin) >= Math.log(canary.needed)) return i;
  }
  return undefined;
}

function share(runs: number, seed: number, canary: Canary): number {
  let rolledBack = 0;
  for (let run = 0; run < runs; run++) if (rolledBackAt(createRandom(seed + run), canary) !== undefined) rolledBack++;
  return rolledBack / runs;
}

describe('stats: sequential tests', () => {
  const same = (rate: number) => ({ candidate: () => rate, stable: () => rate });

  it('rolls back an equal candidate with probability at most alpha, under continuous peeking (2,000 runs of 5,000)', function () {
    this.timeout(60_000);
    const rate = share(2000, 1, { ...same(0.02), weight: 0.5, margin: 0, requests: 5000, needed: 20 });
    assert.ok(rate <= 0.05, `${rate}`);
  });

  it('does so at the edge of the margin, in a small canary, and through an incident that hits both', () => {
    const incident = (i: number) => (i > 500 && i < 700 ? 0.6 : 0.005);
    for (const canary of [
      { candidate: () => 0.03, stable: () => 0.02, weight: 0.25, margin: 0.01 },
      { ...same(0.02), weight: 0.05, margin: 0.01 },
      { candidate: incident, stable: incident, weight: 0.25, margin: 0.01 },
    ]) {
      const rate = share(200, 3, { ...canary, requests: 2000, needed: 20 });
      assert.ok(rate <= 0.05, `${JSON.stringify(canary)} ${rate}`);
    }
  });

  it('rolls back a candidate that fails five times as often, within a few hundred of its requests', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const at = rolledBackAt(createRandom(seed), {
        ...{ candidate: () => 0.1, stable: () => 0.02 },
        weight: 0.5,
        margin: 0.01,
        requests: 5000,
        needed: 40,
      });
      assert.ok(at !== undefined && at < 2500, `${at}`);
    }
  });

  it('grows with candidate failures and stable successes, and shrinks as the margin grows', () => {
    const trials = fc.record({ n: fc.integer({ min: 1, max: 500 }), k: fc.nat() }).map(({ n, k }) => ({
      trials: n,
      events: k % (n + 1),
    }));
    fc.assert(
      fc.property(trials, trials, fc.double({ min: -0.5, max: 0.5, noNaN: true }), (ours, theirs, margin) => {
        const e = twoSampleEvidence(ours, theirs, margin);
        assert.ok(!Number.isNaN(e));
        assert.ok(twoSampleEvidence(ours, theirs, margin + 0.05) <= e + 1e-9);
        // Never evidence for what the estimates contradict.
        if (ours.events / ours.trials <= theirs.events / theirs.trials + margin) assert.ok(e <= 1e-9);
      }),
    );
  });

  it('is no evidence when there was no traffic', () => {
    const none = { trials: 0, events: 0 };
    assert.ok(twoSampleEvidence(none, none, 0.01) <= 0);
    assert.ok(twoSampleEvidence({ trials: 50, events: 50 }, none, 0.01) <= 0);
    assert.ok(twoSampleEvidence(none, { trials: 500, events: 0 }, 0.01) <= 0);
    assert.ok(Math.abs(tooOften(none, 0.1)) < 1e-12);
  });

  it('bets fairly: the expected wealth after n rounds at the null is one (exact, by enumeration)', () => {
    const rate = 0.1;
    const n = 12;
    for (const evidence of [tooOften, tooRarely]) {
      let expected = 0;
      for (let k = 0; k <= n; k++) {
        let choose = 1;
        for (let j = 0; j < k; j++) choose = (choose * (n - j)) / (j + 1);
        expected += choose * rate ** k * (1 - rate) ** (n - k) * Math.exp(evidence({ trials: n, events: k }, rate));
      }
      assert.ok(Math.abs(expected - 1) < 1e-10, `${expected}`);
    }
  });

  it('proves the impossible at once: an event at a rate of zero', () => {
    assert.equal(tooOften({ trials: 10, events: 1 }, 0), Number.POSITIVE_INFINITY);
    assert.equal(bettingEvidence([{ value: 0, count: 10 }], 0, 0), 0);
  });
});
