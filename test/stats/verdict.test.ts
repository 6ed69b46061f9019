import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import {
  defaultDirection,
  type GateMetric,
  type GateSpec,
  type MetricName,
  Verdict,
} from '../../src/contracts/verdict.ts';
import { StatsInputError } from '../../src/stats/errors.ts';
import { createRandom } from '../../src/stats/random.ts';
import { decideVerdict, type JudgedModel, type VerdictInput } from '../../src/stats/verdict.ts';
import { outcomesOf, type PairedTruth, pairedOutcomes, shuffled } from './simulate.ts';

const spam = { task: 'binary-classification', positive: 'spam' } as const;

const require = (metric: Partial<GateMetric> & { metric: MetricName }): GateMetric => ({
  direction: defaultDirection[metric.metric],
  slices: [],
  minRows: 200,
  tooSmall: 'report',
  ...metric,
});

const gateOf = (metrics: GateMetric[], more: Partial<GateSpec> = {}): GateSpec => ({
  against: ['champion', 'anchor'],
  metrics,
  onInconclusive: 'hold',
  ...more,
});

const model = (outcomes: RowOutcome[], more: Partial<JudgedModel> = {}): JudgedModel => ({
  outcomes,
  latency: { p50Ms: 1, p95Ms: 2, p99Ms: 3, samples: 1000 },
  sizeBytes: 1_000_000,
  servable: true,
  ...more,
});

/** Every verdict of this file must satisfy the contract. */
function decide(input: VerdictInput) {
  const verdict = decideVerdict(input);
  assert.deepEqual(Verdict.parse(JSON.parse(JSON.stringify(verdict))), verdict);
  return verdict;
}

const accuracyGate = gateOf([require({ metric: 'accuracy', floor: 0.9, margin: 0.02 })]);
const good: PairedTruth = { bothRight: 0.93, gained: 0.04, lost: 0.01 };

function contest(rows: number, truth: PairedTruth, seed = 1, slicesOf?: (row: number) => string[]) {
  const { candidate, champion } = pairedOutcomes(createRandom(seed), rows, truth, slicesOf);
  return { candidate: model(candidate), champion: model(champion) };
}

describe('stats: verdict', () => {
  it('passes a candidate that is better, fails one that is worse, and cannot tell on few rows', () => {
    assert.equal(decide({ gate: accuracyGate, ...spam, ...contest(2000, good) }).result, 'pass');
    const worse = decide({ gate: accuracyGate, ...spam, ...contest(2000, { bothRight: 0.9, gained: 0, lost: 0.08 }) });
    assert.equal(worse.result, 'fail');
    assert.match(worse.reasons[0]!, /^accuracy against the champion fails: -\d\.\d\d pt, at most -/);
    const few = decide({
      gate: accuracyGate,
      ...spam,
      ...contest(200, { bothRight: 0.93, gained: 0.02, lost: 0.04 }, 2),
    });
    assert.equal(few.result, 'inconclusive');
    assert.ok(few.rowsNeeded! > 200, `${few.rowsNeeded}`);
    assert.match(few.reasons[0]!, /About [\d,]+ rows would decide/);
  });

  it('passes a candidate that answers exactly like the champion, as soon as the rows suffice for the margin', () => {
    const gate = gateOf(
      (['accuracy', 'falsePositiveRate', 'f1', 'rocAuc', 'prAuc', 'logLoss', 'calibrationError'] as const).map(
        (metric) => require({ metric, margin: 0.02 }),
      ),
    );
    const { champion } = contest(600, good);
    assert.equal(decide({ gate, ...spam, candidate: champion, champion, anchor: champion }).result, 'pass');
    const few = { ...champion, outcomes: champion.outcomes.slice(0, 148) };
    const verdict = decide({ gate: accuracyGate, ...spam, candidate: few, champion: few });
    assert.equal(verdict.bounds.find((b) => b.against === 'champion')!.result, 'inconclusive');
    assert.equal(verdict.bounds.find((b) => b.against === 'champion')!.rowsNeeded, 149);
  });

  it('never passes a candidate that equals the champion when no loss at all is allowed', () => {
    const { champion } = contest(2000, good);
    const gate = gateOf((['accuracy', 'f1', 'rocAuc'] as const).map((metric) => require({ metric, margin: 0 })));
    const verdict = decide({ gate, ...spam, candidate: champion, champion });
    assert.equal(verdict.result, 'inconclusive');
    assert.equal(verdict.rowsNeeded, null);
  });

  it('promotes a candidate that is worse by exactly the margin in at most 5 % (simulation)', () => {
    const random = createRandom(31);
    const gate = gateOf([require({ metric: 'accuracy', margin: 0.03 })]);
    const runs = 250;
    let promoted = 0;
    for (let run = 0; run < runs; run++) {
      const { candidate, champion } = pairedOutcomes(random, 400, { bothRight: 0.9, gained: 0.02, lost: 0.05 });
      if (decideVerdict({ gate, ...spam, candidate: model(candidate), champion: model(champion) }).result === 'pass')
        promoted++;
    }
    // 5 % and three standard errors.
    assert.ok(promoted <= 0.05 * runs + 3 * Math.sqrt(0.05 * 0.95 * runs), `${promoted} of ${runs}`);
  });

  it('lets only floors and ceilings decide without a champion, and says so', () => {
    const candidate = model(outcomesOf(createRandom(1), 1500, 0.96));
    const verdict = decide({ gate: accuracyGate, ...spam, candidate });
    assert.equal(verdict.result, 'pass');
    assert.equal(verdict.withoutChampion, true);
    assert.ok(verdict.reasons.includes('There is no champion to compare with: only floors and ceilings decide.'));
    assert.deepEqual(
      verdict.bounds.map((b) => b.against),
      ['floor'],
    );
    const noFloor = decide({ gate: gateOf([require({ metric: 'accuracy', margin: 0.02 })]), ...spam, candidate });
    assert.equal(noFloor.result, 'inconclusive');
    assert.match(noFloor.reasons[0]!, /^No limit of the gate applies/);
  });

  it('fails below a floor with enough rows, and holds a lower-is-better metric under its ceiling', () => {
    const candidate = model(outcomesOf(createRandom(1), 1500, 0.85));
    const gate = gateOf([
      require({ metric: 'accuracy', floor: 0.9 }),
      require({ metric: 'falsePositiveRate', ceiling: 0.25 }),
      require({ metric: 'falseNegativeRate', ceiling: 0.1 }),
    ]);
    const verdict = decide({ gate, ...spam, candidate });
    assert.deepEqual(
      verdict.bounds.map((b) => b.result),
      ['fail', 'pass', 'fail'],
    );
    assert.equal(verdict.result, 'fail');
  });

  it('stops slow creep by the anchor and its own margin', () => {
    const { candidate, champion } = contest(3000, { bothRight: 0.94, gained: 0.02, lost: 0.02 });
    const anchor = model(
      champion.outcomes.map((o) => ({ ...o, predicted: o.label, score: o.label === 'spam' ? 0.99 : 0.01 })),
    );
    const gate = gateOf([require({ metric: 'accuracy', margin: 0.02 })], { anchorMargin: 0.03 });
    const verdict = decide({ gate, ...spam, candidate, champion, anchor });
    const of = (against: string) => verdict.bounds.find((b) => b.against === against)!;
    assert.equal(of('champion').result, 'pass');
    assert.equal(of('anchor').limit, -0.03);
    assert.notEqual(of('anchor').result, 'pass');
    assert.notEqual(verdict.result, 'pass');
  });

  describe('slices', () => {
    const half = (row: number) => [`hasHtml=${row % 2 === 0}`, ...(row < 30 ? ['month=2002-10'] : ['month=2002-09'])];
    const sliced = (tooSmall: GateMetric['tooSmall']) =>
      gateOf([require({ metric: 'accuracy', margin: 0.03, slices: ['hasHtml', 'month'], minRows: 100, tooSmall })]);

    it('reports a slice that is too small, and blocks only when told to', () => {
      const models = contest(3000, good, 1, half);
      const reported = decide({ gate: sliced('report'), ...spam, ...models });
      assert.equal(reported.result, 'pass');
      const small = reported.bounds.find((b) => b.slice === 'month=2002-10')!;
      assert.deepEqual([small.result, small.rows, small.rowsNeeded, small.estimate], ['tooSmall', 30, 100, null]);
      assert.ok(reported.reasons.some((r) => /month=2002-10.* too small to judge: 30 rows/.test(r)));
      const blocked = decide({ gate: sliced('inconclusive'), ...spam, ...models });
      assert.equal(blocked.result, 'inconclusive');
      // The slice is a hundredth of the rows and needs 100 of its own.
      assert.equal(blocked.rowsNeeded, 10_000);
    });

    it('fails on one slice that is worse, though the whole is better', () => {
      const { candidate, champion } = contest(3000, good, 1, half);
      const broken = candidate.outcomes.map((o, i) =>
        o.slices.includes('hasHtml=true') && i % 10 === 0
          ? { ...o, predicted: o.label === 'spam' ? 'ham' : 'spam' }
          : o,
      );
      const verdict = decide({ gate: sliced('report'), ...spam, candidate: model(broken), champion });
      assert.equal(verdict.result, 'fail');
      assert.match(verdict.reasons[0]!, /^accuracy on hasHtml=true against the champion fails/);
    });

    it('never passes on a slice column that no row has: a mistyped guard guards nothing', () => {
      const gate = gateOf([require({ metric: 'accuracy', margin: 0.03, slices: ['hasHtlm'] })]);
      const verdict = decide({ gate, ...spam, ...contest(3000, good, 1, half) });
      assert.equal(verdict.result, 'inconclusive');
      assert.match(verdict.reasons[0]!, /no row has a value of hasHtlm/);
    });

    it('calls a slice of one class too small for an AUC, and the whole of one class inconclusive', () => {
      const gate = gateOf([require({ metric: 'rocAuc', margin: 0.05, slices: ['kind'], minRows: 50 })]);
      const { candidate, champion } = contest(1500, good);
      const byLabel = (m: JudgedModel) => model(m.outcomes.map((o) => ({ ...o, slices: [`kind=${o.label}`] })));
      const verdict = decide({ gate, ...spam, candidate: byLabel(candidate), champion: byLabel(champion) });
      assert.deepEqual(
        verdict.bounds.map((b) => b.result),
        ['pass', 'tooSmall', 'tooSmall'],
      );
      const ham = (m: JudgedModel) => model(m.outcomes.filter((o) => o.label === 'ham'));
      const oneClass = decide({
        gate: gateOf([require({ metric: 'rocAuc', margin: 0.05 })]),
        ...spam,
        candidate: ham(candidate),
        champion: ham(champion),
      });
      assert.equal(oneClass.result, 'inconclusive');
    });
  });

  describe('what is missing never passes', () => {
    const candidate = model(outcomesOf(createRandom(1), 1000, 0.97));

    it('fails a candidate that is not servable, without comparing anything', () => {
      const verdict = decide({
        gate: accuracyGate,
        ...spam,
        candidate: { ...candidate, outcomes: [], servable: false },
        champion: candidate,
      });
      assert.equal(verdict.result, 'fail');
      assert.deepEqual(verdict.bounds, []);
      assert.match(verdict.reasons[0]!, /not servable/);
    });

    it('does not guess about a champion that cannot be scored, and says why', () => {
      const champion = { ...candidate, outcomes: [], servable: false, problem: 'CorruptBlob: half of it is gone' };
      const verdict = decide({ gate: accuracyGate, ...spam, candidate, champion });
      assert.equal(verdict.result, 'inconclusive');
      assert.equal(verdict.withoutChampion, false);
      assert.match(verdict.reasons[0]!, /the champion cannot be scored: CorruptBlob: half of it is gone/);
      const worse = model(outcomesOf(createRandom(1), 1500, 0.8));
      assert.equal(
        decide({ gate: accuracyGate, ...spam, candidate: worse, champion }).result,
        'fail',
        'the floor holds',
      );
      const alone = { ...accuracyGate, against: ['anchor' as const] };
      assert.equal(decide({ gate: alone, ...spam, candidate, champion }).result, 'pass', 'nobody asks about it');
    });

    it('is inconclusive without rows', () => {
      const empty = model([]);
      const verdict = decide({ gate: accuracyGate, ...spam, candidate: empty, champion: empty });
      assert.equal(verdict.result, 'inconclusive');
      assert.ok(verdict.reasons.some((r) => /there are no rows/.test(r)));
    });

    it('fails a candidate that scores NaN, and is inconclusive where the champion does', () => {
      const broken = (m: JudgedModel) => model(m.outcomes.map((o, i) => (i === 3 ? { ...o, score: Number.NaN } : o)));
      const verdict = decide({ gate: accuracyGate, ...spam, candidate: broken(candidate), champion: candidate });
      assert.equal(verdict.result, 'fail');
      assert.match(verdict.reasons[0]!, /scored 1 of 1,000 rows with no finite number/);
      const gate = gateOf([require({ metric: 'logLoss', margin: 0.1 })]);
      assert.equal(decide({ gate, ...spam, candidate, champion: broken(candidate) }).result, 'inconclusive');
    });

    it('is inconclusive on a metric that the task does not have', () => {
      for (const metric of ['rmse', 'f1', 'recall'] as const) {
        const gate = gateOf([require({ metric, floor: 0.5, margin: 0.1 })]);
        const verdict = decide({ gate, task: 'binary-classification', candidate, champion: candidate });
        assert.equal(verdict.result, 'inconclusive', metric);
      }
    });

    it('bounds nothing by fewer than 20 rows of a class, where no exact bound exists', () => {
      const rare = model(
        candidate.outcomes.map((o, i) => ({ ...o, label: i < 5 ? 'spam' : 'ham', score: i < 5 ? 0.9 : 0.1 })),
      );
      const gate = gateOf([require({ metric: 'rocAuc', margin: 0.05 })]);
      const verdict = decide({ gate, ...spam, candidate: rare, champion: rare });
      assert.equal(verdict.result, 'inconclusive');
      assert.equal(verdict.rowsNeeded, 4000);
    });

    it('refuses other rows, other labels, double ids and limits that are no numbers', () => {
      const other = (outcomes: RowOutcome[]) => () =>
        decideVerdict({ gate: accuracyGate, ...spam, candidate, champion: model(outcomes) });
      const { outcomes } = candidate;
      assert.throws(other(outcomes.slice(1)), StatsInputError);
      assert.throws(other([]), StatsInputError);
      assert.throws(other(outcomes.map((o) => ({ ...o, label: 'eggs' }))), StatsInputError);
      assert.throws(other([...outcomes.slice(1), outcomes[1]!]), StatsInputError);
      const gate = gateOf([require({ metric: 'accuracy', floor: Number.NaN })]);
      assert.throws(() => decideVerdict({ gate, ...spam, candidate }), /accuracy\.floor is NaN/);
    });
  });

  describe('latency and size', () => {
    const outcomes = outcomesOf(createRandom(1), 300, 0.97);
    const gate = gateOf([
      require({ metric: 'latencyP99', ceiling: 20, worseBy: 0.5 }),
      require({ metric: 'sizeBytes', ceiling: 2_000_000 }),
    ]);
    const p99 = (p99Ms: number, samples = 1000) => ({ latency: { p50Ms: 1, p95Ms: 2, p99Ms, samples } });
    /** Twelve blocks in which the machine is busy by turns, and the candidate so many times slower. */
    const inTurns = (factor: number, rowsPerBlock = 100): Pick<JudgedModel, 'latencyAgainst'> => {
      const random = createRandom(4);
      const blocks = Array.from({ length: 12 }, (_, i) => {
        const busy = i % 3 === 0 ? 5 : 1;
        const pair = (ms: number): [number, number] => [
          factor * ms * busy * (0.95 + random.uniform() / 10),
          ms * busy * (0.95 + random.uniform() / 10),
        ];
        return { p50: pair(1), p95: pair(2), p99: pair(3) };
      });
      return { latencyAgainst: { champion: { other: `sha256:${'c'.repeat(64)}`, rowsPerBlock, blocks } } };
    };
    const judge = (more: Partial<JudgedModel>) =>
      decide({ gate, ...spam, candidate: model(outcomes, { ...inTurns(1), ...more }), champion: model(outcomes) });

    it('holds sizes and ceilings against plain numbers: at most 20 ms, at most 2 MB', () => {
      assert.equal(judge(p99(19)).result, 'pass');
      assert.equal(judge({ sizeBytes: 2_000_001 }).result, 'fail');
      assert.match(judge(p99(21)).reasons[0]!, /latencyP99 fails: 21 ms, at most 20 ms is allowed/);
    });

    it('compares with the champion in turns: a machine that is busy with both blames neither', () => {
      assert.equal(judge(inTurns(1)).result, 'pass');
      assert.equal(judge(inTurns(1.4)).result, 'pass');
      assert.equal(judge(inTurns(1.52)).result, 'inconclusive', 'near the limit');
      const slow = judge(inTurns(1.7));
      assert.equal(slow.result, 'fail');
      assert.match(
        slow.reasons[0]!,
        /^latencyP99 against the champion fails: -2\.\d+ ms, at most -1\.\d+ ms .*\(1,200 samples\)/,
      );
      // Measured at different times these were 2 ms apart, and nobody asks.
      assert.equal(judge({ ...inTurns(1), ...p99(5) }).result, 'pass');
    });

    it('never passes on two models that were not measured in turns, or in blocks of too few rows', () => {
      const apart = judge({ latencyAgainst: {} });
      assert.equal(apart.result, 'inconclusive');
      assert.match(
        apart.reasons[0]!,
        /latencyP99 against the champion cannot be judged: the two were not measured in turns/,
      );
      assert.equal(judge(inTurns(1, 99)).result, 'inconclusive');
    });

    it('never passes on a latency that was not measured, or on too few samples for the quantile', () => {
      assert.equal(judge(p99(Number.NaN)).result, 'inconclusive');
      assert.equal(judge(p99(3, 99)).result, 'inconclusive');
    });
  });

  it('judges regression by its errors', () => {
    const random = createRandom(2);
    const rows = (noise: number): RowOutcome[] =>
      Array.from({ length: 400 }, (_, i) => ({
        id: String(i),
        time: '',
        label: String(i % 10),
        predicted: '',
        score: (i % 10) + noise * (random.uniform() - 0.5),
        slices: [],
      }));
    const champion = model(rows(1));
    const gate = gateOf([require({ metric: 'rmse', worseBy: 0.2 }), require({ metric: 'mae', ceiling: 0.5 })]);
    assert.equal(decide({ gate, task: 'regression', candidate: model(rows(1)), champion }).result, 'pass');
    assert.equal(decide({ gate, task: 'regression', candidate: model(rows(2)), champion }).result, 'fail');
  });

  it('gives the same bytes for the same input in any order of its rows', () => {
    const gate = gateOf([
      require({ metric: 'accuracy', floor: 0.8, margin: 0.02, slices: ['part'] }),
      require({ metric: 'f1', margin: 0.02 }),
      require({ metric: 'rocAuc', margin: 0.02 }),
    ]);
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 300 }), (seed, rows) => {
        const { candidate, champion } = contest(rows, good, seed, (i) => [`part=${i % 2}`]);
        const random = createRandom(seed + 1);
        const again = (m: JudgedModel) => model(shuffled(m.outcomes, random));
        const bytes = JSON.stringify(decide({ gate, ...spam, candidate, champion }));
        const other = decide({ gate, ...spam, candidate: again(candidate), champion: again(champion) });
        assert.equal(bytes, JSON.stringify(other));
        assert.ok(!/NaN|Infinity/.test(bytes));
      }),
      { numRuns: 12 },
    );
  });

  it('lets a wider margin never turn a pass into anything else', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 0.1, noNaN: true }), (seed, margin) => {
        const models = contest(400, { bothRight: 0.93, gained: 0.02, lost: 0.03 }, seed);
        const at = (m: number) =>
          decide({ gate: gateOf([require({ metric: 'accuracy', margin: m })]), ...spam, ...models }).result;
        if (at(margin) === 'pass') assert.equal(at(margin + 0.01), 'pass');
        if (at(margin + 0.01) === 'fail') assert.equal(at(margin), 'fail');
      }),
      { numRuns: 25 },
    );
  });

  it('judges 2,500 rows against champion and anchor with seven metrics in about a second', function () {
    this.timeout(20_000);
    const { candidate, champion } = contest(2500, good, 1, (i) => [`half=${i % 2}`]);
    const gate = gateOf([
      require({ metric: 'accuracy', floor: 0.9, margin: 0.02, slices: ['half'] }),
      require({ metric: 'falsePositiveRate', margin: 0.02, slices: ['half'] }),
      ...(['f1', 'rocAuc', 'prAuc', 'logLoss', 'calibrationError'] as const).map((metric) =>
        require({ metric, margin: 0.02 }),
      ),
    ]);
    const started = process.cpuUsage();
    decide({ gate, ...spam, candidate, champion, anchor: champion });
    const { user } = process.cpuUsage(started);
    // Well above the goal, so that a machine under load does not make it flaky; bench/gate.ts prints the figure.
    assert.ok(user < 4_000_000, `${user / 1000} ms of CPU`);
  });
});
