import assert from 'node:assert/strict';
import { type DriftSubject, decideDrift, spentAlpha } from '../../src/stats/drift.ts';
import { cellCounts, cellEdges, jensenShannonDistance, populationStability } from '../../src/stats/drift-distances.ts';
import { fisherExact, frequencyShift, kolmogorovSmirnov } from '../../src/stats/drift-tests.ts';
import { createRandom, type Random } from '../../src/stats/random.ts';
import { normalSample } from './simulate.ts';

const near = (value: number, expected: number, within = 1e-12) =>
  assert.ok(Math.abs(value - expected) <= within, `${value}, expected ${expected}`);

describe('stats: drift, its measures', () => {
  it('population stability index: zero for the same shares, symmetric, by hand for two cells', () => {
    assert.equal(populationStability([30, 70], [30, 70]), 0);
    // (30.5, 70.5)/101 against (60.5, 40.5)/101
    const [r, l] = [30.5 / 101, 60.5 / 101];
    const expected = (l - r) * Math.log(l / r) + (r - l) * Math.log((1 - l) / (1 - r));
    near(populationStability([30, 70], [60, 40]), expected);
    near(populationStability([60, 40], [30, 70]), expected);
    assert.ok(populationStability([100, 0], [0, 100]) < 20, 'an empty cell is far, not infinitely far');
  });

  it('Jensen–Shannon distance: 0 for the same, 1 for what has nothing in common', () => {
    assert.equal(jensenShannonDistance([1, 3], [10, 30]), 0);
    assert.equal(jensenShannonDistance([5, 0], [0, 9]), 1);
    near(jensenShannonDistance([1, 0], [1, 1]), Math.sqrt(0.5 * Math.log2(4 / 3) + 0.25 * Math.log2(2 / 3) + 0.25));
    assert.throws(() => jensenShannonDistance([0, 0], [1, 1]), /expected zero or more in every cell and some in one/);
    assert.throws(() => populationStability([1], [1, 1]), /expected the same ones on both sides/);
  });

  it('cells are tenths of the reference, fewer where rows share a number', () => {
    const tenths = Array.from({ length: 100 }, (_, i) => i);
    assert.deepEqual(cellEdges(tenths), [9, 19, 29, 39, 49, 59, 69, 79, 89]);
    assert.deepEqual(cellCounts(cellEdges(tenths), tenths), new Array(10).fill(10));
    const edges = cellEdges([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert.deepEqual(
      [edges, cellCounts(edges, [-1, 0, 0.5, 1, 7])],
      [
        [0, 1],
        [2, 2, 1],
      ],
    );
  });

  it('Kolmogorov–Smirnov: the distance by hand, ties on both sides counted once', () => {
    assert.equal(kolmogorovSmirnov([1, 2, 3, 4], [3, 4, 5, 6]).distance, 0.5);
    assert.equal(kolmogorovSmirnov([1, 1, 2], [1, 1, 2]).distance, 0);
    assert.equal(kolmogorovSmirnov([1, 2], [8, 9]).distance, 1);
    assert.deepEqual(kolmogorovSmirnov([], [1]), { distance: 0, p: 1 });
  });

  it("Fisher's exact test: the lady who tastes tea, and a tail far out", () => {
    // 4 of 4 and 0 of 4: 1/70 on one side.
    near(fisherExact({ rows: 4, have: 0 }, { rows: 4, have: 4 }).p, 2 / 70);
    assert.equal(fisherExact({ rows: 10, have: 5 }, { rows: 10, have: 5 }).p, 1);
    const far = fisherExact({ rows: 1000, have: 0 }, { rows: 1000, have: 200 }).p;
    assert.ok(far > 0 && far < 1e-55, `${far}`);
    const one = fisherExact({ rows: 50, have: 3 }, { rows: 40, have: 12 }).p;
    near(frequencyShift({ rows: 50, have: [3, 47, 0] }, { rows: 40, have: [12, 28, 0] }).p, 2 * one);
  });
});

interface Traffic {
  number: (random: Random) => number;
  category: (random: Random) => string;
  /** Whether a row has term `i`. */
  term: (random: Random, i: number) => boolean;
}

const usual: Traffic = {
  number: normalSample,
  category: (random) => (random.uniform() < 0.7 ? 'ham' : random.uniform() < 0.9 ? 'spam' : 'list'),
  term: (random, i) => random.uniform() < 0.02 * (1 + (i % 8)),
};

function sample(random: Random, rows: number, { number, category, term }: Traffic) {
  const numbers = Array.from({ length: rows }, () => number(random));
  const categories = new Map<string, number>();
  const have = new Array<number>(16).fill(0);
  for (let i = 0; i < rows; i++) {
    const name = category(random);
    categories.set(name, (categories.get(name) ?? 0) + 1);
    for (let t = 0; t < have.length; t++) if (term(random, t)) have[t]!++;
  }
  return { numbers, categories, terms: { rows, have } };
}

type Sample = ReturnType<typeof sample>;
const subjectsOf = (reference: Sample, live: Sample): DriftSubject[] => [
  { subject: 'score', kind: 'numbers', reference: reference.numbers, live: live.numbers },
  { subject: 'answer', kind: 'categories', reference: reference.categories, live: live.categories },
  { subject: 'body terms', kind: 'terms', reference: reference.terms, live: live.terms },
];

/** The window of the first alarm; undefined when there is none. PSI is left out of it, so that chance alone decides. */
function alarmAt(random: Random, windows: number, alpha: number, rows: number, live: (window: number) => Traffic) {
  const reference = sample(random, 400, usual);
  for (let window = 1; window <= windows; window++) {
    const subjects = subjectsOf(reference, sample(random, rows, live(window)));
    const { reason } = decideDrift(subjects, window, { alpha, psiAbove: 0 });
    if (reason !== null) return window;
  }
  return undefined;
}

describe('stats: drift, its decision', () => {
  it('what windows may spend adds up to alpha', () => {
    const spent = Array.from({ length: 10_000 }, (_, i) => spentAlpha(0.05, i + 1));
    near(
      spent.reduce((sum, a) => sum + a, 0),
      0.05 * (1 - 1 / 10_001),
    );
  });

  it('alarms without a shift at most as often as it says, over 15 windows and three subjects (300 runs)', () => {
    let alarms = 0;
    for (let run = 0; run < 300; run++) if (alarmAt(createRandom(100 + run), 15, 0.2, 100, () => usual)) alarms++;
    assert.ok(alarms / 300 <= 0.2, `${alarms} of 300`);
    assert.ok(alarms > 0, 'a rate of zero would say that the simulation cannot alarm');
  });

  it('finds a real shift of each kind, also after windows without one', () => {
    const shifts: Partial<Traffic>[] = [
      { number: (random) => normalSample(random) + 1 },
      { number: (random) => normalSample(random) * 3 },
      { category: (random) => (random.uniform() < 0.3 ? 'ham' : 'spam') },
      { term: (random, i) => random.uniform() < (i === 3 ? 0.5 : 0.02 * (1 + (i % 8))) },
    ];
    for (const [i, shift] of shifts.entries())
      for (let run = 0; run < 10; run++) {
        const at = alarmAt(createRandom(10 * i + run), 12, 0.001, 250, (window) =>
          window > 8 ? { ...usual, ...shift } : usual,
        );
        assert.ok(at !== undefined && at > 8 && at <= 10, `shift ${i}, run ${run}: ${at}`);
      }
  });

  it('names the subject that moved most, and leaves alone what moved certainly and hardly', () => {
    const random = createRandom(7);
    const reference = sample(random, 2000, usual);
    const live = sample(random, 1000, { ...usual, number: (r) => normalSample(r) + 1 });
    const { reason, findings } = decideDrift(subjectsOf(reference, live), 1, { alpha: 0.01, psiAbove: 0.2 });
    assert.match(reason ?? '', /^drift: score, PSI [01]\.\d\d on 1000 rows against 2000 \(p \S+, alarm at 0\.005\)$/);
    assert.deepEqual(
      findings.map(({ subject, drifted }) => [subject, drifted]),
      [
        ['score', true],
        ['body terms', false],
        ['answer', false],
      ].sort((a, b) => Number(b[1]) - Number(a[1])),
    );

    const slightly = sample(random, 20_000, { ...usual, number: (r) => normalSample(r) + 0.2 });
    const large = { ...sample(random, 20_000, usual) };
    const small = decideDrift(subjectsOf(large, slightly), 1, { alpha: 0.01, psiAbove: 0.2 });
    const score = small.findings.find(({ subject }) => subject === 'score')!;
    assert.ok(score.p < 1e-20 && score.psi < 0.1, `${score.p} ${score.psi}`);
    assert.equal(small.reason, null);
  });

  it('a subject that one side has no row of is left out; windows and alpha are checked', () => {
    const empty: DriftSubject = { subject: 'score', kind: 'numbers', reference: [1, 2], live: [] };
    assert.deepEqual(decideDrift([empty], 1, { alpha: 0.05, psiAbove: 0 }).findings, []);
    assert.throws(() => decideDrift([], 0, { alpha: 0.05, psiAbove: 0 }), /window: got 0, expected 1, 2, 3/);
    assert.throws(() => decideDrift([], 1, { alpha: 1, psiAbove: 0 }), /alpha: got 1/);
  });
});
