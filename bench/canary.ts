import { parseArgs } from 'node:util';
import { canaryAlpha } from '../src/activities/endpoint/canary.ts';
import { normalQuantile } from '../src/stats/distributions.ts';
import { createRandom, type Random } from '../src/stats/random.ts';
import { twoSampleEvidence } from '../src/stats/sequential.ts';
import { ours, rollOut, zOf, zTest } from './canary/per-request.ts';
import { argo, flagger } from './canary/per-window.ts';
import { type Ended, latencyBuckets, type Truth } from './canary/traffic.ts';
import { machine, spread } from './orchestration/spread.ts';

/**
 * How often a canary that is as good as the stable version is rolled back, and how soon a bad one is, by our decision, by a
 * z-test that is looked at all the time, and by the rules that Argo Rollouts and Flagger document: once with the
 * thresholds of their documents, once with thresholds that a team would set that knows its error rate. Simulated from
 * fixed seeds: the same figures on every machine. `--canaries 500` is the short form.
 */
const { values } = parseArgs({ options: { canaries: { type: 'string', default: '10000' } } });
const equal = Number(values.canaries);
const worse = Math.ceil(equal / 10);
const factors = [2, 5, 10];
const stepsOfARollout = 3;

/** Error rates of the stable version; half of it more is tolerated. */
const stableErrorRates = [0.005, 0.02];
const toleranceOf = (rate: number): number => rate / 2;

type Rule = (truth: Truth, random: Random) => Ended;
const latencies = latencyBuckets(createRandom(5));
const rulesFor = (rate: number): Record<string, Rule> => {
  const tolerance = toleranceOf(rate);
  const [judge, z] = [ours(tolerance), zTest(tolerance)];
  return {
    goto3: (truth, random) => rollOut(judge, truth, random, latencies),
    'z-test at every look': (truth, random) => rollOut(z, truth, random, latencies),
    'Argo Rollouts, 95 %': (truth, random) => argo(0.95, truth, random),
    'Argo Rollouts, fitted': (truth, random) => argo(1 - rate - tolerance, truth, random),
    'Flagger, 99 %': (truth, random) => flagger(0.99, truth, random),
    'Flagger, fitted': (truth, random) => flagger(1 - rate - tolerance, truth, random),
  };
};

const share = (some: number, of: number): string =>
  `${((100 * some) / of).toFixed(some === 0 || some === of ? 0 : 2)} %`;
const row = (cells: string[]): void =>
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(30))).join(''));
const many = (count: number, rule: Rule, truth: Truth, seed: number): Ended[] =>
  Array.from({ length: count }, (_, i) => rule(truth, createRandom(1_000_003 * seed + i)));

interface Figures {
  falseRollbacks: number;
  timedOut: number;
  /** Rolled back by evidence, of all steps that were judged. */
  perStep: number;
  worse: Record<string, { caught: number; minutes: number | null; requests: number | null; errors: number | null }>;
}

const started = performance.now();
const figures: Record<string, Record<string, Figures>> = {};
for (const rate of stableErrorRates) {
  const name = share(rate * 1e4, 1e4);
  console.log(
    `\nStable fails on ${name}; +${100 * toleranceOf(rate)} pt is tolerated. ${equal} equal canaries, ${worse} of each worse kind;`,
  );
  console.log('caught, then medians of those caught: minutes, requests that failed on the candidate\n');
  row(['', 'equal: rolled back, timed out', ...factors.map((f) => `fails ${f}×`)]);
  figures[name] = {};
  for (const [label, rule] of Object.entries(rulesFor(rate))) {
    const same = many(equal, rule, { stableErrorRate: rate, candidateErrorRate: rate }, 1);
    const of = (outcome: Ended['outcome']): number => same.filter((one) => one.outcome === outcome).length;
    const found: Figures = {
      falseRollbacks: of('rolledBack') / equal,
      timedOut: of('timedOut') / equal,
      perStep: of('rolledBack') / same.reduce((sum, { steps }) => sum + steps, 0),
      worse: {},
    };
    const cells = [`${share(of('rolledBack'), equal)}, ${share(of('timedOut'), equal)}`];
    for (const factor of factors) {
      const caught = many(worse, rule, { stableErrorRate: rate, candidateErrorRate: factor * rate }, factor).filter(
        ({ outcome }) => outcome !== 'promoted',
      );
      const median = (key: 'minutes' | 'requests' | 'errors'): number | null =>
        caught.length === 0 ? null : spread(caught.map((one) => one[key])).median;
      const these = {
        caught: caught.length / worse,
        minutes: median('minutes'),
        requests: median('requests'),
        errors: median('errors'),
      };
      found.worse[`${factor}×`] = these;
      cells.push(`${share(caught.length, worse)}, ${these.minutes?.toFixed(1) ?? '–'} min, ${these.errors ?? '–'}`);
    }
    figures[name][label] = found;
    row([label, ...cells]);
  }
}

// ── A canary that never advances: the claim is "at any time" ─────────────────────────────────────────────────────────
const longest = 10_000;
/** Does it stop an equal canary within so many requests? Nothing is tolerated: the hardest equal case. */
function stops(candidateWeight: number, rate: number, random: Random): { ours: boolean; z: boolean } {
  const [c, s] = [
    { requests: 0, errors: 0 },
    { requests: 0, errors: 0 },
  ];
  const stopped = { ours: false, z: false };
  for (let sent = 1; sent <= longest && !(stopped.ours && stopped.z); sent++) {
    const isCandidate = random.uniform() < candidateWeight;
    const variant = isCandidate ? c : s;
    variant.requests++;
    const failed = random.uniform() < rate;
    if (failed) variant.errors++;
    if (!(failed && isCandidate) && sent % 50 !== 0) continue;
    const counts = ({ requests, errors }: typeof c) => ({ trials: requests, events: errors });
    stopped.ours ||= twoSampleEvidence(counts(c), counts(s), 0) >= -Math.log(canaryAlpha);
    stopped.z ||= c.requests >= 20 && s.requests >= 20 && zOf(c, s, 0) > -normalQuantile(canaryAlpha);
  }
  return stopped;
}

console.log(
  `\nEqual canaries that stay at one weight for ${longest} requests, nothing tolerated, α ${share(canaryAlpha * 100, 100)}: ever stopped\n`,
);
row(['', 'goto3', 'z-test at every look']);
const endless: Record<string, { ours: number; z: number }> = {};
for (const weight of [0.05, 0.5]) {
  const all = Array.from({ length: equal }, (_, i) => stops(weight, 0.02, createRandom(7_000_001 + i)));
  const [mine, z] = [all.filter(({ ours }) => ours).length, all.filter((one) => one.z).length];
  endless[`weight ${weight}`] = { ours: mine / equal, z: z / equal };
  row([`at ${share(weight * 100, 100)}`, share(mine, equal), share(z, equal)]);
}

// ── Summary ─────────────────────────────────────────────────────────────────────────────────────────────────────────
const all = Object.values(figures);
const mine = all.map((by) => by.goto3!);
const peers = (name: string) => Object.fromEntries(Object.entries(figures).map(([rate, by]) => [rate, by[name]!]));
const slower = (name: string, factor: string) =>
  all.map((by) => (by[name]!.worse[factor]!.errors ?? Number.NaN) / by.goto3!.worse[factor]!.errors!);
const [first] = all;
const names = Object.keys(first!).filter((name) => name !== 'goto3');
console.log(`\n${((performance.now() - started) / 1_000).toFixed(0)} s`);
console.log(
  JSON.stringify({
    bench: 'canary',
    ours: { alphaOfAStep: canaryAlpha, ...peers('goto3'), endless },
    peers: Object.fromEntries(names.map((name) => [name, peers(name)])),
    ratios: Object.fromEntries(
      names.map((name) => [
        `requests failed before the rollback of a candidate that fails 5× and 10×, ${name} / ours, by error rate`,
        [slower(name, '5×'), slower(name, '10×')],
      ]),
    ),
    goals: {
      [`equal canaries under continuous peeking: at most α = ${canaryAlpha} of the steps rolled back`]: mine.every(
        ({ perStep }) => perStep <= canaryAlpha,
      ),
      [`and at most ${stepsOfARollout} α of the rollouts`]: mine.every(
        ({ falseRollbacks }) => falseRollbacks <= stepsOfARollout * canaryAlpha,
      ),
      'at most α when it never ends': Object.values(endless).every(({ ours: stopped }) => stopped <= canaryAlpha),
      'every candidate that fails 5× or 10× is rolled back': mine.every((by) =>
        ['5×', '10×'].every((factor) => by.worse[factor]!.caught === 1),
      ),
    },
    machine: machine(),
  }),
);
