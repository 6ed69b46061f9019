import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type CanaryEvidence, type CanaryRules, decideCanary } from '../../src/stats/canary.ts';
import { StatsInputError } from '../../src/stats/errors.ts';
import { latencyEvidence, latencyQuantileBounds } from '../../src/stats/latency-evidence.ts';
import {
  bucketsOfFactor,
  emptyLatencyHistogram,
  type LatencyHistogram,
  latencyBuckets,
  latencyQuantileMs,
  latencySamples,
  mergeLatency,
  recordLatency,
  upperEdgeMs,
} from '../../src/stats/latency-histogram.ts';
import { createRandom, type Random } from '../../src/stats/random.ts';
import { normalSample } from './simulate.ts';

const rules: CanaryRules = { atLeastRequests: 300, errorRateMargin: 0.01, latencyP99Relative: 0.5, alpha: 0.05 };

/** Log-normal latencies around `medianMs`. */
function latencies(random: Random, count: number, medianMs: number): LatencyHistogram {
  const histogram = emptyLatencyHistogram();
  for (let i = 0; i < count; i++) recordLatency(histogram, medianMs * Math.exp(0.5 * normalSample(random)));
  return histogram;
}

function evidence(candidate: [requests: number, errors: number, medianMs?: number], stable: [number, number]) {
  const variant = ([requests, errors, medianMs = 2]: [number, number, number?], seed: number) => ({
    requests,
    errors,
    latency: latencies(createRandom(seed), requests - errors, medianMs),
  });
  return { candidate: variant(candidate, 1), stable: variant(stable, 2) } satisfies CanaryEvidence;
}

describe('stats: canary', () => {
  it('holds without traffic, and until the candidate has answered enough', () => {
    assert.equal(decideCanary(evidence([0, 0], [5000, 3]), rules).decision, 'hold');
    assert.match(decideCanary(evidence([0, 0], [0, 0]), rules).reason, /no traffic/);
    assert.match(decideCanary(evidence([299, 0], [5000, 3]), rules).reason, /299 of at least 300/);
    assert.match(decideCanary(evidence([300, 0], [0, 0]), rules).reason, /Stable has had no traffic/);
  });

  it('advances a candidate that is like stable', () => {
    for (const [ours, theirs] of [
      [
        [300, 0],
        [5700, 0],
      ],
      [
        [300, 0],
        [300, 0],
      ],
      [
        [1000, 20],
        [3000, 61],
      ],
    ] as [[number, number], [number, number]][])
      assert.equal(decideCanary(evidence(ours, theirs), rules).decision, 'advance');
  });

  it('rolls back after three failures in a row when stable answers', () => {
    const { decision, reason } = decideCanary(evidence([3, 3], [57, 0]), rules);
    assert.equal(decision, 'rollback');
    assert.match(reason, /^3 of 3 requests failed on the candidate, 0 of 57 on stable, \+1 pt is tolerated/);
  });

  it('does not roll back onto a stable that fails as well', () => {
    assert.notEqual(decideCanary(evidence([30, 30], [570, 570]), rules).decision, 'rollback');
  });

  it('holds while more errors than tolerated are seen but not proven', () => {
    const { decision, reason } = decideCanary(evidence([300, 6], [5700, 20]), rules);
    assert.equal(decision, 'hold');
    assert.match(reason, /more requests will tell/);
  });

  it('rolls back a candidate that is three times slower, and tells by how much at least', () => {
    const { decision, bounds } = decideCanary(evidence([300, 0, 6], [5700, 0]), rules);
    assert.equal(decision, 'rollback');
    const latency = bounds.find((b) => b.test === 'latencyP99')!;
    assert.ok(latency.lower! > 0.5 && latency.lower! < 2 && latency.estimate! > 1.2);
  });

  it('tests disagreement only when told what is tolerated', () => {
    const disagreeing = { ...evidence([400, 0], [4000, 0]), disagreement: { compared: 400, differ: 120 } };
    assert.equal(decideCanary(disagreeing, rules).decision, 'advance');
    const told = decideCanary(disagreeing, { ...rules, disagreementAtMost: 0.1 });
    assert.equal(told.decision, 'rollback');
    assert.match(told.reason, /disagree on 120 of 400 requests, 10 % is tolerated/);
    const few = { ...disagreeing, disagreement: { compared: 400, differ: 45 } };
    assert.equal(decideCanary(few, { ...rules, disagreementAtMost: 0.1 }).decision, 'advance');
  });

  it('gives the same decision for the same counts, in plain JSON', () => {
    const counts = fc
      .tuple(fc.integer({ min: 0, max: 400 }), fc.nat())
      .map(([n, k]) => [n, k % (n + 1)] as [number, number]);
    fc.assert(
      fc.property(counts, counts, (ours, theirs) => {
        const decision = decideCanary(evidence(ours, theirs), rules);
        const copy = JSON.parse(JSON.stringify(evidence(ours, theirs)));
        assert.deepEqual(JSON.parse(JSON.stringify(decision)), decideCanary(copy, rules));
        const errors = decision.bounds[0]!;
        if (errors.estimate !== null)
          assert.ok(errors.lower! <= errors.estimate + 1e-9 && errors.estimate <= errors.upper! + 1e-9);
      }),
      { numRuns: 40 },
    );
  });

  it('never rolls back for latency alone when both are alike, looking every 250 requests (simulation)', () => {
    const random = createRandom(77);
    let rolledBack = 0;
    for (let run = 0; run < 60; run++) {
      const [ours, theirs] = [emptyLatencyHistogram(), emptyLatencyHistogram()];
      let worst = Number.NEGATIVE_INFINITY;
      for (let i = 1; i <= 3000; i++) {
        recordLatency(random.uniform() < 0.25 ? ours : theirs, Math.exp(normalSample(random)));
        if (i % 250 === 0) worst = Math.max(worst, latencyEvidence(ours, theirs, { quantile: 0.99, relative: 0 }));
      }
      if (worst >= Math.log(20)) rolledBack++;
    }
    // alpha is 5 %: three of 60.
    assert.ok(rolledBack <= 3, `${rolledBack} of 60`);
  });

  it('refuses counts and rules that cannot be', () => {
    const good = evidence([10, 1], [10, 1]);
    const broken = [
      { ...good, candidate: { ...good.candidate, errors: 11 } },
      { ...good, stable: { ...good.stable, requests: 1.5 } },
      { ...good, candidate: { ...good.candidate, requests: Number.NaN } },
      { ...good, disagreement: { compared: 3, differ: 4 } },
      { ...good, stable: { ...good.stable, latency: { counts: [1, 2, 3] } } },
    ];
    for (const counts of broken) assert.throws(() => decideCanary(counts, rules), StatsInputError);
    for (const rule of [{ alpha: 0 }, { alpha: 1 }, { errorRateMargin: -0.01 }, { latencyP99Relative: Number.NaN }])
      assert.throws(() => decideCanary(good, { ...rules, ...rule }), StatsInputError);
  });
});

describe('stats: latency histogram', () => {
  const latency = fc.double({ min: 0, max: 1e6, noNaN: true });

  it('keeps each latency in the bucket whose edges enclose it', () => {
    fc.assert(
      fc.property(latency, (ms) => {
        const histogram = emptyLatencyHistogram();
        recordLatency(histogram, ms);
        const bucket = histogram.counts.indexOf(1);
        assert.equal(latencySamples(histogram), 1);
        assert.ok(ms <= upperEdgeMs(bucket) * (1 + 1e-9));
        assert.ok(bucket === 0 || ms >= upperEdgeMs(bucket - 1) * (1 - 1e-9));
      }),
    );
    assert.equal(emptyLatencyHistogram().counts.length, latencyBuckets);
    assert.equal(upperEdgeMs(latencyBuckets - 1), Number.POSITIVE_INFINITY);
  });

  it('has quantiles within one bucket (4.4 %) of the exact ones, and merges like one stream', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 1e5, noNaN: true }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, q) => {
          const whole = emptyLatencyHistogram();
          const parts = [emptyLatencyHistogram(), emptyLatencyHistogram()] as const;
          for (const [i, ms] of values.entries()) {
            recordLatency(whole, ms);
            recordLatency(parts[i % 2]!, ms);
          }
          assert.deepEqual(mergeLatency(...parts), whole);
          const exact = [...values].sort((a, b) => a - b)[Math.ceil(q * values.length) - 1]!;
          const ratio = latencyQuantileMs(whole, q)! / exact;
          assert.ok(ratio >= 1 - 1e-9 && ratio <= 2 ** (1 / 16) + 1e-9, `${ratio}`);
        },
      ),
    );
    assert.equal(latencyQuantileMs(emptyLatencyHistogram(), 0.5), null);
    assert.equal(bucketsOfFactor(2), 16);
    assert.equal(bucketsOfFactor(1), 0);
  });

  it('bounds a quantile at all times: the true p99 of 3,000 latencies lies within', () => {
    const truth = Math.exp(0.5 * 2.326347874);
    for (let seed = 1; seed <= 20; seed++) {
      const { lowerMs, upperMs } = latencyQuantileBounds(latencies(createRandom(seed), 3000, 1), 0.99, Math.log(40));
      assert.ok(lowerMs !== null && upperMs !== null && lowerMs < truth && truth < upperMs, `${lowerMs} ${upperMs}`);
    }
    assert.deepEqual(latencyQuantileBounds(emptyLatencyHistogram(), 0.99, 3), { lowerMs: null, upperMs: null });
  });

  it('refuses what is no latency', () => {
    for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY])
      assert.throws(() => recordLatency(emptyLatencyHistogram(), ms), StatsInputError);
  });
});
