import assert from 'node:assert/strict';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import type { GateMetric, GateSpec } from '../../src/contracts/verdict.ts';
import { computeMetrics, sliceMetrics } from '../../src/stats/metrics.ts';
import { createRandom } from '../../src/stats/random.ts';
import { decideVerdict, type JudgedModel } from '../../src/stats/verdict.ts';
import { normalSample } from './simulate.ts';

const regression = { task: 'regression' } as const;
const row = (i: number, values: Record<string, number>): RowOutcome => ({
  id: `r${String(i).padStart(5, '0')}`,
  time: '',
  label: '1',
  predicted: '1',
  score: 1,
  slices: [`half=${i % 2}`],
  values,
});
const model = (values: readonly Record<string, number>[]): JudgedModel => ({
  outcomes: values.map((v, i) => row(i, v)),
  latency: { p50Ms: 1, p95Ms: 2, p99Ms: 3, samples: 1000 },
  sizeBytes: 1_000,
  servable: true,
});
const require = (metric: Partial<GateMetric>): GateSpec => ({
  against: ['champion'],
  metrics: [
    {
      metric: 'pinball',
      value: 'pinball',
      aggregate: 'mean',
      direction: 'lower',
      slices: [],
      minRows: 200,
      tooSmall: 'report',
      ...metric,
    },
  ],
  onInconclusive: 'hold',
});

describe("stats: metrics of the user's evaluation program", () => {
  const random = createRandom(8);
  const noise = Array.from({ length: 600 }, () => normalSample(random));
  const losses = (add: number) => model(noise.map((z) => ({ pinball: Math.exp(z / 4) + add, z, squared: z * z })));
  const judge = (gate: GateSpec, candidate: JudgedModel, champion?: JudgedModel) =>
    decideVerdict({ gate, ...regression, candidate, ...(champion && { champion }) });

  it('are means of the rows, or roots of means, overall and by slice', () => {
    const own = {
      pinball: { value: 'pinball', aggregate: 'mean' },
      rms: { value: 'squared', aggregate: 'rootMean' },
    } as const;
    const { outcomes } = losses(0);
    const table = computeMetrics(outcomes, regression, own);
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    assert.ok(Math.abs(table.pinball!.value! - mean(noise.map((z) => Math.exp(z / 4)))) < 1e-11);
    assert.ok(Math.abs(table.rms!.value! - Math.sqrt(mean(noise.map((z) => z * z)))) < 1e-11);
    assert.ok(table.rms!.lower! < table.rms!.value! && table.rms!.value! < table.rms!.upper!);
    assert.equal(sliceMetrics(outcomes, regression, own)['half=1']!.pinball!.rows, 300);
  });

  it('pass, fail and stay undecided by direction, margin in their own unit, and rows', () => {
    const gate = require({ margin: 0.05, ceiling: 1.2 });
    assert.equal(judge(gate, losses(0.02), losses(0)).result, 'pass', 'a paired difference without noise');
    assert.equal(judge(gate, losses(0.06), losses(0)).result, 'fail');
    const higher = require({ direction: 'higher', margin: 0.05 });
    assert.equal(judge(higher, losses(0.06), losses(0)).result, 'pass');
    assert.equal(judge(higher, losses(-0.06), losses(0)).result, 'fail');
    const noisy = model(noise.map((_, i) => ({ pinball: Math.exp(noise[(i + 7) % 600]! / 4) })));
    const few = (m: JudgedModel): JudgedModel => ({ ...m, outcomes: m.outcomes.slice(0, 60) });
    const verdict = judge(gate, few(noisy), few(losses(0)));
    assert.equal(verdict.result, 'inconclusive');
    assert.ok(verdict.rowsNeeded! > 60);
  });

  it('are held against a share of what the champion has, with `worseBy`', () => {
    const of = (factor: number) => model(noise.map((z) => ({ pinball: factor * Math.exp(z / 4) })));
    assert.equal(judge(require({ worseBy: 0.1 }), of(1.05), of(1)).result, 'pass');
    assert.equal(judge(require({ worseBy: 0.1 }), of(1.2), of(1)).result, 'fail');
  });

  it('have exact bounds where the program says yes or no: 100 rows alike are not enough for a margin of 2 points', () => {
    const yes = model(Array.from({ length: 148 }, () => ({ pinball: 1 })));
    const gate = require({ direction: 'higher', margin: 0.02 });
    const verdict = judge(gate, yes, yes);
    assert.deepEqual([verdict.result, verdict.rowsNeeded], ['inconclusive', 149]);
    const floor = judge(require({ direction: 'higher', floor: 0.98 }), yes);
    assert.ok(Math.abs(floor.bounds[0]!.lower! - 0.05 ** (1 / 148)) < 1e-9, 'Clopper–Pearson');
  });

  it('never pass on rows that have no such number, or NaN', () => {
    const gate = require({ margin: 0.05 });
    const broken = (value: Record<string, number>): JudgedModel => {
      const all = losses(0);
      return { ...all, outcomes: all.outcomes.map((o, i) => (i === 5 ? { ...o, values: value } : o)) };
    };
    for (const value of [{ other: 1 }, { pinball: Number.NaN }])
      for (const [candidate, champion] of [
        [broken(value), losses(0)],
        [losses(0), broken(value)],
      ] as const) {
        const verdict = judge(gate, candidate, champion);
        assert.equal(verdict.result, 'inconclusive');
        assert.ok(!/NaN|Infinity/.test(JSON.stringify(verdict)));
      }
  });
});
