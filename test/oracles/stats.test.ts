import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import { bootstrapCurve } from '../../src/stats/bootstrap.ts';
import { binomialCurve } from '../../src/stats/confidence.ts';
import { aucCurve, aucDifferenceCurve } from '../../src/stats/delong.ts';
import * as distributions from '../../src/stats/distributions.ts';
import { holmAdjusted } from '../../src/stats/holm.ts';
import { differenceCurve } from '../../src/stats/metric-curves.ts';
import { computeMetrics, type MetricTable } from '../../src/stats/metrics.ts';
import { mcnemarMidP, pAtMost, tangoInterval } from '../../src/stats/paired-proportions.ts';
import { createRandom } from '../../src/stats/random.ts';
import { scoredRows } from '../../src/stats/scored-rows.ts';
import { twoSampleEvidence } from '../../src/stats/sequential.ts';
import { signedRankCurve } from '../../src/stats/signed-rank.ts';
import { lnBeta, lnGamma } from '../../src/stats/special-functions.ts';
import { normalSample } from '../stats/simulate.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const install =
  'python3 -m venv V && V/bin/pip install scipy scikit-learn statsmodels; GOTO3_ORACLE_PYTHON=V/bin/python';

interface Case {
  ask: string;
  /** What Python computes from. */
  from: Record<string, unknown>;
  ours: number | number[] | Record<string, number>;
  within: number;
  /** Relative error, tails included; else absolute below 1. */
  relative?: true;
}

/** All cases in one Python process, since its imports take seconds. */
function answers(cases: Case[]): unknown[] {
  const program = fileURLToPath(new URL('stats.py', import.meta.url));
  const input = cases.map(({ ask, from }) => JSON.stringify({ ask, ...from })).join('\n');
  const { status, stdout, stderr } = spawnSync(python!, [program], { input, encoding: 'utf8', maxBuffer: 2 ** 26 });
  assert.equal(status, 0, stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

const random = createRandom(2026);
const whole = (below: number) => Math.floor(random.uniform() * below);

function distributionCases(): Case[] {
  const cases: Case[] = [];
  for (let i = 0; i < 60; i++) {
    const x = normalSample(random) * 3;
    const p = random.uniform() ** 4;
    const [a, b] = [0.2 + random.uniform() * 10 ** whole(5), 0.2 + random.uniform() * 10 ** whole(5)];
    const n = 1 + whole(10 ** (1 + whole(5)));
    const k = whole(n + 1);
    const at = Math.min(1, Math.max(0, k / n + (normalSample(random) * 2) / Math.sqrt(n)));
    const d = distributions;
    cases.push(
      { ask: 'normalCdf', from: { x }, ours: d.normalCdf(x), within: 1e-10, relative: true },
      { ask: 'normalQuantile', from: { p }, ours: d.normalQuantile(p), within: 1e-12 },
      { ask: 'betaCdf', from: { a, b, x: p }, ours: d.betaCdf(p, a, b), within: 1e-10, relative: true },
      { ask: 'betaQuantile', from: { a, b, p }, ours: d.betaQuantile(p, a, b), within: 1e-10 },
      { ask: 'binomialCdf', from: { k, n, p: at }, ours: d.binomialCdf(k, n, at), within: 1e-10, relative: true },
      { ask: 'binomialSf', from: { k, n, p: at }, ours: d.binomialSf(k, n, at), within: 1e-10, relative: true },
      { ask: 'binomialPmf', from: { k, n, p: at }, ours: d.binomialPmf(k, n, at), within: 1e-10, relative: true },
      { ask: 'lnGamma', from: { x: a }, ours: lnGamma(a), within: 1e-13 },
      { ask: 'lnBeta', from: { a, b }, ours: lnBeta(a, b), within: 1e-10 },
    );
  }
  return cases;
}

function testCases(): Case[] {
  const cases: Case[] = [];
  for (let i = 0; i < 40; i++) {
    const rows = 20 + whole(3000);
    const gained = 1 + whole(rows / 4);
    // statsmodels caps the exact p-value of a tie at 1, so the mid-p cannot be had from it.
    const lost = gained + 1 + whole(rows / 4);
    const counts = { rows, gained, lost };
    const share = binomialCurve(gained, rows);
    const ps = Array.from({ length: 1 + whole(12) }, () => random.uniform() ** 3);
    cases.push(
      {
        ask: 'clopperPearson',
        from: { k: gained, n: rows },
        ours: [share.lower(0.025), share.upper(0.025)],
        within: 1e-10,
      },
      { ask: 'tango', from: { ...counts, confidence: 0.9 }, ours: tangoInterval(counts, 0.9), within: 1e-9 },
      { ask: 'mcnemarMidP', from: { gained, lost }, ours: mcnemarMidP(counts), within: 1e-9 },
      { ask: 'holm', from: { p: ps }, ours: holmAdjusted(ps), within: 1e-12 },
    );
    const [n, s] = [1 + whole(3000), 1 + whole(3000)];
    const [candidate, other] = [
      { trials: n, events: whole(Math.ceil(n / 5)) },
      { trials: s, events: whole(Math.ceil(s / 10)) },
    ];
    const margin = random.uniform() / 20;
    cases.push({
      ask: 'twoSample',
      from: { candidate: [n, candidate.events], other: [s, other.events], margin },
      ours: twoSampleEvidence(candidate, other, margin),
      within: 1e-9,
    });
  }
  for (const [rows, gained, lost, difference] of [
    [21, 1, 7, -0.05],
    [30, 4, 2, -0.1],
    [30, 0, 0, -0.1],
    [25, 6, 1, 0],
    [40, 3, 5, -0.2],
  ] as const)
    cases.push({
      ask: 'exactPaired',
      from: { rows, gained, lost, difference },
      ours: pAtMost({ rows, gained, lost }, difference),
      within: 1e-6,
    });
  const values = Array.from({ length: 120 }, () => -Math.log(1 - random.uniform()));
  const mean = (w: ArrayLike<number>) => {
    let [sum, total] = [0, 0];
    for (const [i, v] of values.entries()) {
      sum += w[i]! * v;
      total += w[i]!;
    }
    return sum / total;
  };
  const curve = bootstrapCurve(values.length, mean)!;
  // Two different sets of resamples: agreement within their noise, a tenth of a standard error.
  cases.push({
    ask: 'bca',
    from: { values },
    ours: { lower: curve.lower(0.05), upper: curve.upper(0.05) },
    within: 0.02,
  });
  return [...cases, ...pairedCases()];
}

/** What an evaluation program's metrics and latencies in turns rest on. */
function pairedCases(): Case[] {
  const cases: Case[] = [];
  for (const aggregate of ['mean', 'rootMean'] as const) {
    const other = Array.from({ length: 300 }, () => (1 + normalSample(random)) ** 2);
    const candidate = other.map((v) => v * Math.exp(normalSample(random) / 4));
    const rowsOf = (values: number[]): RowOutcome[] =>
      values.map((value, i) => ({
        ...{ id: String(1e6 + i), time: '', label: '0', predicted: '', score: 0, slices: [] },
        values: { loss: value },
      }));
    const [ours, theirs] = [candidate, other].map((values) => scoredRows(rowsOf(values), { task: 'regression' }));
    const curve = differenceCurve({ value: 'loss', aggregate }, ours!, theirs!)!;
    cases.push({
      ask: 'pairedBca',
      from: { candidate, other, root: aggregate === 'rootMean' },
      ours: { lower: curve.lower(0.05), upper: curve.upper(0.05) },
      within: 0.02,
    });
  }
  for (let i = 0; i < 10; i++) {
    const differences = Array.from({ length: 8 + whole(8) }, () => normalSample(random) + 0.3);
    const limit = normalSample(random) / 4;
    const curve = signedRankCurve(differences)!;
    cases.push({
      ask: 'signedRank',
      from: { differences, limit },
      ours: {
        estimate: curve.estimate,
        above: curve.pAbove(limit),
        below: curve.pBelow(limit),
        lower: curve.lower(0.05),
        upper: curve.upper(0.05),
      },
      within: 1e-9,
    });
  }
  return cases;
}

function metricCases(): Case[] {
  const pick = (table: MetricTable, names: string[]) =>
    Object.fromEntries(names.map((name) => [name, table[name]!.value!]));
  const row = (i: number, label: string, predicted: string, score: number): RowOutcome => ({
    id: String(1e6 + i),
    time: '',
    label,
    predicted,
    score,
    slices: [],
  });
  const cases: Case[] = [];
  for (const digits of [1, 2, 12]) {
    // Few digits make ties.
    const outcomes = Array.from({ length: 700 }, (_, i) => {
      const spam = random.uniform() < 0.3;
      const raw = 1 / (1 + Math.exp(-normalSample(random) - (spam ? 1 : -1)));
      const score = Number(raw.toFixed(digits));
      return row(i, spam ? 'spam' : 'ham', score >= 0.5 ? 'spam' : 'ham', score);
    });
    const columns = {
      label: outcomes.map((o) => o.label),
      predicted: outcomes.map((o) => o.predicted),
      score: outcomes.map((o) => o.score),
    };
    const meaning = { task: 'binary-classification', positive: 'spam' } as const;
    const names = [
      'accuracy',
      'f1',
      'precision',
      'recall',
      'falsePositiveRate',
      'falseNegativeRate',
      'rocAuc',
      'prAuc',
      'logLoss',
    ];
    cases.push({
      ask: 'classification',
      from: { ...columns, positive: 'spam' },
      ours: pick(computeMetrics(outcomes, meaning), names),
      within: 1e-9,
    });
    const other = outcomes.map((o) => ({
      ...o,
      score: Number((o.score * 0.7 + 0.3 * random.uniform()).toFixed(digits)),
    }));
    const [a, b] = [scoredRows(outcomes, meaning), scoredRows(other, meaning)];
    const [auc, difference] = [aucCurve(a)!, aucDifferenceCurve(a, b)!];
    cases.push({
      ask: 'delong',
      from: { label: columns.label.map((l) => Number(l === 'spam')), a: columns.score, b: other.map((o) => o.score) },
      ours: {
        auc: auc.estimate,
        lower: auc.lower(0.05),
        difference: difference.estimate,
        differenceLower: difference.lower(0.05),
      },
      within: 1e-9,
    });
  }
  const classes = ['a', 'b', 'c', 'd'];
  const many = Array.from({ length: 300 }, (_, i) => {
    const label = classes[whole(3)]!;
    return row(i, label, random.uniform() < 0.7 ? label : classes[whole(4)]!, 0.5);
  });
  cases.push({
    ask: 'macro',
    from: { label: many.map((o) => o.label), predicted: many.map((o) => o.predicted) },
    ours: pick(computeMetrics(many, { task: 'multiclass-classification' }), ['f1', 'precision', 'recall']),
    within: 1e-9,
  });
  const targets = Array.from({ length: 200 }, () => normalSample(random));
  const guesses = targets.map((t, i) => row(i, String(t), '', t + normalSample(random)));
  cases.push({
    ask: 'regression',
    from: { target: targets, score: guesses.map((o) => o.score) },
    ours: pick(computeMetrics(guesses, { task: 'regression' }), ['rmse', 'mae', 'r2']),
    within: 1e-9,
  });
  return cases;
}

function compare(cases: Case[]): void {
  const theirs = answers(cases);
  for (const [i, { ask, from, ours, within, relative }] of cases.entries()) {
    const expected = theirs[i] as typeof ours;
    const pairs: [string, number, number][] =
      typeof ours === 'number'
        ? [['', ours, expected as number]]
        : Object.entries(ours).map(([key, value]) => [key, value, (expected as Record<string, number>)[key]!]);
    for (const [key, value, other] of pairs)
      assert.ok(
        Math.abs(value - other) <= within * Math.max(relative ? 1e-280 : 1, Math.abs(other)) && Number.isFinite(other),
        `${ask} ${key}: ours ${value}, theirs ${other}, ${JSON.stringify(from).slice(0, 300)}`,
      );
  }
}

describe(`oracle: statistics against scipy, scikit-learn and statsmodels${python ? '' : ` [${install}]`}`, function () {
  this.timeout(120_000);
  const check = python ? it : it.skip;
  check('distributions', () => compare(distributionCases()));
  check('tests and intervals', () => compare(testCases()));
  check('metrics', () => compare(metricCases()));
});
