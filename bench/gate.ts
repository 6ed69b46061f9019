import { performance } from 'node:perf_hooks';
import type { GateMetric, GateSpec } from '../src/contracts/verdict.ts';
import { pAtMost } from '../src/stats/paired-proportions.ts';
import { createRandom, type Random } from '../src/stats/random.ts';
import { decideVerdict, type JudgedModel } from '../src/stats/verdict.ts';
import { binomialSample, pairedOutcomes } from '../test/stats/simulate.ts';

/**
 * How often the gate promotes a candidate that it should not, or keeps one that it could, beside the rules that peers
 * document. Simulated from fixed seeds: the same figures on every machine, times aside.
 */
const started = performance.now();
const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
const row = (cells: (string | number)[], widths: number[]) =>
  console.log(cells.map((c, i) => String(c)[i === 0 ? 'padEnd' : 'padStart'](widths[i] ?? 12)).join('  '));

// ── Gate ────────────────────────────────────────────────────────────────────────────────────────────────────────────
const margin = 0.02;
const championAccuracy = 0.95;
const disagreement = 0.06;
const candidates = 10_000;

interface Table {
  rows: number;
  gained: number;
  lost: number;
  /** Point estimate of the champion's accuracy on these rows. */
  champion: number;
}

const ourDecisions = new Map<string, 'pass' | 'fail' | 'inconclusive'>();
function ourRule({ rows, gained, lost }: Table): 'pass' | 'fail' | 'inconclusive' {
  const key = `${rows}/${gained}/${lost}`;
  const known = ourDecisions.get(key);
  if (known) return known;
  const decision =
    pAtMost({ rows, gained, lost }, -margin) <= 0.05
      ? 'pass'
      : pAtMost({ rows, gained: lost, lost: gained }, margin) <= 0.05
        ? 'fail'
        : 'inconclusive';
  ourDecisions.set(key, decision);
  return decision;
}

const accuracyOf = ({ champion, gained, lost, rows }: Table) => champion + (gained - lost) / rows;
/** All compare point estimates, as documented: mlflow.models.MetricThreshold, tfma.GenericChangeThreshold. */
const rules: Record<string, (table: Table) => boolean> = {
  'MLflow threshold 0.93': (t) => accuracyOf(t) >= championAccuracy - margin,
  'MLflow min_absolute_change 0.001': (t) => accuracyOf(t) >= t.champion + 0.001,
  'TFMA absolute change −0.02': (t) => accuracyOf(t) - t.champion > -margin,
  'goto3 paired bound, margin 2 pt': (t) => ourRule(t) === 'pass',
};

function simulateTable(random: Random, rows: number, difference: number): Table {
  const lostShare = (disagreement - difference) / 2;
  const lost = binomialSample(random, rows, lostShare);
  const gained = binomialSample(random, rows - lost, (disagreement + difference) / 2 / (1 - lostShare));
  const both = binomialSample(random, rows - lost - gained, (championAccuracy - lostShare) / (1 - disagreement));
  return { rows, gained, lost, champion: (both + lost) / rows };
}

const differences = [-0.04, -0.02, -0.01, 0, 0.01];
const promoted: Record<string, Record<string, number>> = {};
const undecided: Record<string, number> = {};
console.log(
  `Share promoted of ${candidates} candidates; champion ${percent(championAccuracy)}, the two disagree on ${percent(disagreement)}; a loss of 2 pt is the limit\n`,
);
const gateWidths = [48, 9, 9, 9, 9, 9];
row(['true difference', ...differences.map((d) => `${d > 0 ? '+' : ''}${(100 * d).toFixed(0)} pt`)], gateWidths);
for (const rows of [1000, 2500]) {
  const tables = differences.map((difference, i) => {
    const random = createRandom(100 * rows + i);
    return Array.from({ length: candidates }, () => simulateTable(random, rows, difference));
  });
  for (const [name, rule] of Object.entries(rules)) {
    const shares = tables.map((of) => of.filter(rule).length / candidates);
    promoted[`${name}, ${rows} rows`] = Object.fromEntries(differences.map((d, i) => [String(d), shares[i]!]));
    row([`${name}, ${rows} rows`, ...shares.map(percent)], gateWidths);
  }
  const open = tables.map((of) => of.filter((t) => ourRule(t) === 'inconclusive').length / candidates);
  for (const [i, d] of differences.entries()) undecided[`${d}, ${rows} rows`] = open[i]!;
  row([`  goto3 inconclusive (asks for rows), ${rows} rows`, ...open.map(percent)], gateWidths);
}

// ── The whole verdict on rows: the same decision, and its time ──────────────────────────────────────────────────────
const requirement = (metric: GateMetric['metric'], direction: 'higher' | 'lower'): GateMetric => ({
  metric,
  direction,
  margin,
  slices: [],
  minRows: 200,
  tooSmall: 'report',
});
const gateOf = (metrics: GateMetric[]): GateSpec => ({
  against: ['champion', 'anchor'],
  metrics,
  onInconclusive: 'hold',
});
const judged = (outcomes: JudgedModel['outcomes']): JudgedModel => ({
  outcomes,
  latency: { p50Ms: 1, p95Ms: 2, p99Ms: 3, samples: 1000 },
  sizeBytes: 1e6,
  servable: true,
});
const meaning = { task: 'binary-classification', positive: 'spam' } as const;
const random = createRandom(7);
let same = 0;
for (let run = 0; run < 100; run++) {
  const { candidate, champion } = pairedOutcomes(random, 1000, { bothRight: 0.92, gained: 0.025, lost: 0.035 });
  const verdict = decideVerdict({
    gate: gateOf([requirement('accuracy', 'higher')]),
    ...meaning,
    candidate: judged(candidate),
    champion: judged(champion),
  });
  const right = candidate.map((o, i) => Number(o.predicted === o.label) - Number(champion[i]!.predicted === o.label));
  const gained = right.filter((r) => r > 0).length;
  const lost = right.filter((r) => r < 0).length;
  if (verdict.result === ourRule({ rows: 1000, gained, lost, champion: 0 })) same++;
}
const { candidate, champion } = pairedOutcomes(random, 2500, { bothRight: 0.92, gained: 0.03, lost: 0.03 });
const full = gateOf([
  { ...requirement('accuracy', 'higher'), floor: 0.9 },
  requirement('falsePositiveRate', 'lower'),
  requirement('f1', 'higher'),
  requirement('rocAuc', 'higher'),
  requirement('prAuc', 'higher'),
  requirement('logLoss', 'lower'),
]);
const verdictMs: number[] = [];
for (let repeat = 0; repeat < 6; repeat++) {
  const before = performance.now();
  decideVerdict({ gate: full, ...meaning, candidate: judged(candidate), champion: judged(champion) });
  // The first one also compiles.
  if (repeat > 0) verdictMs.push(performance.now() - before);
}
verdictMs.sort((a, b) => a - b);
console.log(
  `\ndecideVerdict on rows agrees with the table's rule on ${same} of 100; six metrics, 2,500 rows, paired bootstrap: median ${verdictMs[2]!.toFixed(0)} ms (${verdictMs[0]!.toFixed(0)}–${verdictMs[4]!.toFixed(0)}) of 5\n`,
);

// ── Summary ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const ofOurs = <T>(from: Record<string, T>) =>
  Object.fromEntries(Object.entries(from).filter(([k]) => k.startsWith('goto3')));
const ofPeers = <T>(from: Record<string, T>) =>
  Object.fromEntries(Object.entries(from).filter(([k]) => !k.startsWith('goto3')));
const worstFalsePromotion = (from: Record<string, Record<string, number>>) =>
  Math.max(...Object.values(from).map((shares) => shares[String(-margin)]!));
const seconds = (performance.now() - started) / 1000;
console.log(`\n${seconds.toFixed(1)} s on Node ${process.version}`);
// Five per cent, and three standard errors of the simulation.
const chance = (runs: number) => 0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs);
console.log(
  JSON.stringify({
    bench: 'gate',
    ours: { promoted: ofOurs(promoted), inconclusive: undecided, verdictMs },
    peers: { promoted: ofPeers(promoted) },
    ratios: {
      'false promotions at the limit, TFMA rule / ours':
        promoted['TFMA absolute change −0.02, 2500 rows']!['-0.02']! /
        promoted['goto3 paired bound, margin 2 pt, 2500 rows']!['-0.02']!,
    },
    goals: {
      'at most 5 % promoted of candidates that are worse by the margin':
        worstFalsePromotion(ofOurs(promoted)) <= chance(candidates),
      'the verdict on rows is the rule of the table': same === 100,
      'paired bootstrap of 2,500 rows in less than 1 s': verdictMs[2]! < 1000,
      'whole benchmark in less than 60 s': seconds < 60,
    },
  }),
);
