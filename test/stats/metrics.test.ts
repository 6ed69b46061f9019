import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import { bootstrapCurve } from '../../src/stats/bootstrap.ts';
import { binomialCurve } from '../../src/stats/confidence.ts';
import { aucDifferenceCurve } from '../../src/stats/delong.ts';
import { StatsInputError } from '../../src/stats/errors.ts';
import { computeMetrics, sliceMetrics } from '../../src/stats/metrics.ts';
import { comparePaired } from '../../src/stats/paired.ts';
import { createRandom } from '../../src/stats/random.ts';
import { scoredRows } from '../../src/stats/scored-rows.ts';
import { normalSample, outcomesOf, pairedOutcomes, shuffled } from './simulate.ts';

const spam = { task: 'binary-classification', positive: 'spam' } as const;

function rows(...cells: [label: string, predicted: string, score: number][]): RowOutcome[] {
  return cells.map(([label, predicted, score], i) => ({
    id: `r${i}`,
    time: '2002-08-01T00:00:00.000Z',
    label,
    predicted,
    score,
    slices: [`half=${i % 2}`],
  }));
}

describe('stats: metrics', () => {
  it('counts by hand', () => {
    const table = computeMetrics(
      rows(
        ['spam', 'spam', 0.9],
        ['spam', 'spam', 0.8],
        ['spam', 'ham', 0.3],
        ['ham', 'spam', 0.6],
        ['ham', 'ham', 0.3],
        ['ham', 'ham', 0.1],
        ['ham', 'ham', 0.2],
        ['ham', 'ham', 0.05],
      ),
      spam,
    );
    const value = (name: string) => table[name]!.value;
    assert.equal(value('accuracy'), 0.75);
    assert.ok(Math.abs(value('precision')! - 2 / 3) < 1e-11);
    assert.ok(Math.abs(value('recall')! - 2 / 3) < 1e-11);
    assert.ok(Math.abs(value('f1')! - 2 / 3) < 1e-11);
    assert.equal(value('falsePositiveRate'), 0.2);
    assert.ok(Math.abs(value('falseNegativeRate')! - 1 / 3) < 1e-11);
    // 15 pairs: two spams outrank all five hams; the third outranks three, ties one, loses one.
    assert.ok(Math.abs(value('rocAuc')! - 13.5 / 15) < 1e-11);
    // Average precision: 1/3·1 + 1/3·1 + 1/3·(3/5), the tie at 0.3 as one threshold.
    assert.ok(Math.abs(value('prAuc')! - (1 / 3 + 1 / 3 + 1 / 5)) < 1e-11);
    assert.equal(table.recall!.rows, 3);
    assert.equal(table.falsePositiveRate!.rows, 5);
  });

  it('has no value, and never NaN, where a metric is not defined', () => {
    const oneClass = computeMetrics(rows(['ham', 'ham', 0.1], ['ham', 'ham', 0.2]), spam);
    for (const name of ['recall', 'rocAuc', 'prAuc', 'precision', 'f1', 'falseNegativeRate'])
      assert.deepEqual(
        { value: oneClass[name]!.value, lower: oneClass[name]!.lower, upper: oneClass[name]!.upper },
        { value: null, lower: null, upper: null },
        name,
      );
    assert.equal(oneClass.accuracy!.value, 1);

    const noScores = computeMetrics(rows(['ham', 'ham', Number.NaN], ['spam', 'spam', 0.9]), spam);
    for (const name of ['rocAuc', 'prAuc', 'logLoss', 'calibrationError']) assert.equal(noScores[name]!.value, null);

    for (const table of [computeMetrics([], spam), computeMetrics([], { task: 'regression' }), oneClass, noScores])
      assert.ok(!/NaN|Infinity/.test(JSON.stringify(table)));
    for (const { value, rows: support } of Object.values(computeMetrics([], spam)))
      assert.deepEqual([value, support], [null, 0]);
  });

  it('measures regression by rmse, mae and r2, and only those', () => {
    const table = computeMetrics(rows(['1', '1', 2], ['2', '2', 2], ['3', '3', 0]), { task: 'regression' });
    assert.deepEqual(Object.keys(table).sort(), ['mae', 'r2', 'rmse']);
    assert.equal(table.r2!.value, null, 'three rows are too few: many resamples have one target alone');
    const many = Array.from({ length: 30 }, (_, i): [string, string, number] => [
      String(i % 3),
      '',
      i % 3 === 2 ? 0 : 1,
    ]);
    // Errors 1, 0, 2 around targets 0, 1, 2: their mean would have been the better answer.
    const [{ value, lower, upper }] = [computeMetrics(rows(...many), { task: 'regression' }).r2!];
    assert.ok(Math.abs(value! - (1 - 5 / 2)) < 1e-11 && lower! < value! && value! < upper!);
    const constant = computeMetrics(rows(['2', '2', 1], ['2', '2', 3]), { task: 'regression' });
    assert.equal(constant.r2!.value, null, 'nothing varies that could be explained');
    assert.ok(Math.abs(table.rmse!.value! - Math.sqrt(10 / 3)) < 1e-11);
    assert.ok(Math.abs(table.mae!.value! - 4 / 3) < 1e-11);
    assert.equal(computeMetrics(rows(['?', '1', 2], ['2', '2', 2]), { task: 'regression' }).rmse!.value, null);
  });

  it('averages F1 over the classes of a multiclass task', () => {
    const table = computeMetrics(rows(['a', 'a', 0.9], ['b', 'a', 0.6], ['b', 'b', 0.7], ['c', 'c', 0.8]), {
      task: 'multiclass-classification',
    });
    assert.ok(Math.abs(table.f1!.value! - (2 / 3 + 2 / 3 + 1) / 3) < 1e-11);
    assert.equal(table.rocAuc!.value, null);
  });

  it('refuses a row id that comes twice', () => {
    const twice = rows(['ham', 'ham', 0.1], ['ham', 'ham', 0.2]).map((o) => ({ ...o, id: 'same' }));
    assert.throws(() => computeMetrics(twice, spam), StatsInputError);
  });

  it('does not depend on the order of the rows, orders its bounds, and covers each slice', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 120 }), fc.nat(), (n, seed) => {
        const random = createRandom(seed);
        const outcomes = outcomesOf(random, n, 0.8, (i) => [`third=${i % 3}`]);
        const table = computeMetrics(outcomes, spam);
        assert.equal(JSON.stringify(table), JSON.stringify(computeMetrics(shuffled(outcomes, random), spam)));
        for (const [name, { value, lower, upper }] of Object.entries(table))
          assert.ok(value === null || (lower! <= value && value <= upper!), `${name} ${lower} ${value} ${upper}`);
        const slices = sliceMetrics(outcomes, spam);
        const total = Object.values(slices).reduce((sum, t) => sum + t.accuracy!.rows, 0);
        assert.equal(total, n);
      }),
      { numRuns: 15 },
    );
  });

  it("gives Newcombe's exact intervals (Statistics in Medicine 17 (1998) 857, table I)", () => {
    for (const [successes, n, lower, upper] of [
      [81, 263, 0.2527, 0.3676],
      [15, 148, 0.0578, 0.1617],
      [0, 20, 0, 0.1684],
      [1, 29, 0.0009, 0.1776],
    ] as const) {
      const curve = binomialCurve(successes, n);
      assert.equal(curve.lower(0.025).toFixed(4), lower.toFixed(4));
      assert.equal(curve.upper(0.025).toFixed(4), upper.toFixed(4));
    }
  });

  it('covers: the BCa interval of a skewed mean holds the truth about as often as it says (simulation)', () => {
    const random = createRandom(5);
    const runs = 150;
    let below = 0;
    let above = 0;
    for (let run = 0; run < runs; run++) {
      const values = Array.from({ length: 80 }, () => -Math.log(1 - random.uniform()));
      const curve = bootstrapCurve(80, (w) => {
        let sum = 0;
        let total = 0;
        for (let i = 0; i < 80; i++) {
          sum += w[i]! * values[i]!;
          total += w[i]!;
        }
        return sum / total;
      })!;
      if (curve.lower(0.05) > 1) above++;
      if (curve.upper(0.05) < 1) below++;
    }
    assert.ok(above <= 15 && below <= 20 && above + below >= 5, `${above} above, ${below} below of ${runs}`);
  });

  it('covers: the DeLong bound of two equal models claims a loss in about 5 % (simulation)', () => {
    const random = createRandom(6);
    const runs = 400;
    let claimed = 0;
    for (let run = 0; run < runs; run++) {
      const model = () =>
        scoredRows(
          Array.from({ length: 120 }, (_, i) => ({
            id: String(1000 + i),
            time: '',
            label: i % 3 === 0 ? 'spam' : 'ham',
            predicted: 'ham',
            score: normalSample(random) + (i % 3 === 0 ? 1 : 0),
            slices: [],
          })),
          spam,
        );
      if (aucDifferenceCurve(model(), model())!.upper(0.05) < 0) claimed++;
    }
    assert.ok(claimed >= 8 && claimed <= 36, `${claimed} of ${runs}`);
  });

  it('promotes by F1 in about 5 % when the candidate is worse by the margin (simulation)', () => {
    const random = createRandom(11);
    const runs = 80;
    let promoted = 0;
    // 30 % spam, wrong equally often on both classes: F1 = 2·0.3a / (2·0.3a + 1 − a) at accuracy a.
    const truth = { bothRight: 0.9, gained: 0.01, lost: 0.04 };
    const f1 = (a: number) => (0.6 * a) / (0.6 * a + 1 - a);
    const margin = f1(0.94) - f1(0.91);
    for (let run = 0; run < runs; run++) {
      const { candidate, champion } = pairedOutcomes(random, 300, truth);
      const compared = comparePaired(
        { metric: 'f1', direction: 'higher', allowance: { margin } },
        candidate,
        champion,
        spam,
      );
      if (compared.lower! > -margin) promoted++;
    }
    assert.ok(promoted <= 10, `${promoted} of ${runs}`);
  });
});

describe('stats: paired comparison', () => {
  it('mirrors when the models swap, for every metric', () => {
    const { candidate, champion } = pairedOutcomes(createRandom(3), 400, { bothRight: 0.9, gained: 0.03, lost: 0.02 });
    for (const metric of ['accuracy', 'recall', 'falsePositiveRate', 'rocAuc'] as const) {
      const question = { metric, direction: 'higher', allowance: { margin: 0.02 } } as const;
      const there = comparePaired(question, candidate, champion, spam);
      const back = comparePaired(question, champion, candidate, spam);
      assert.ok(Math.abs(there.estimate! + back.estimate!) < 1e-12, metric);
      assert.ok(Math.abs(there.lower! + back.upper!) < 1e-7, metric);
    }
  });

  it('signs so that positive is better', () => {
    const { candidate, champion } = pairedOutcomes(createRandom(3), 2000, { bothRight: 0.85, gained: 0.1, lost: 0 });
    for (const [metric, direction] of [
      ['accuracy', 'higher'],
      ['f1', 'higher'],
      ['rocAuc', 'higher'],
      ['falsePositiveRate', 'lower'],
      ['falseNegativeRate', 'lower'],
      ['logLoss', 'lower'],
    ] as const) {
      const compared = comparePaired({ metric, direction, allowance: { margin: 0 } }, candidate, champion, spam);
      assert.ok(compared.estimate! > 0 && compared.lower! > 0, `${metric} ${compared.estimate}`);
      assert.ok(compared.pFail! > 0.9 && compared.pPass! < 0.05, metric);
    }
  });

  it('holds a relative allowance against the other model: worseBy 20 % of its log-loss', () => {
    const { candidate, champion } = pairedOutcomes(createRandom(4), 1000, { bothRight: 0.9, gained: 0.02, lost: 0.02 });
    const same = comparePaired(
      { metric: 'logLoss', direction: 'lower', allowance: { worseBy: 0.2 } },
      champion,
      champion,
      spam,
    );
    assert.equal(same.estimate, 0);
    assert.ok(same.lower! > same.limit && same.limit < 0);
    const compared = comparePaired(
      { metric: 'logLoss', direction: 'lower', allowance: { worseBy: 0.2 } },
      candidate,
      champion,
      spam,
    );
    const loss = computeMetrics(champion, spam).logLoss!.value!;
    assert.ok(Math.abs(compared.limit + 0.2 * loss) < 1e-9);
  });

  it('refuses models that were not scored on the same rows and labels', () => {
    const { candidate, champion } = pairedOutcomes(createRandom(4), 50, { bothRight: 0.9, gained: 0.02, lost: 0.02 });
    const question = { metric: 'accuracy', direction: 'higher', allowance: { margin: 0.02 } } as const;
    const compare = (other: RowOutcome[]) => () => comparePaired(question, candidate, other, spam);
    assert.throws(compare(champion.slice(1)), /"mail-000000" is missing from the other model's outcomes/);
    assert.throws(compare([...champion, { ...champion[0]!, id: 'more' }]), /"more" is missing from the candidate's/);
    assert.throws(
      compare(champion.map((o, i) => (i === 7 ? { ...o, label: o.label === 'ham' ? 'spam' : 'ham' } : o))),
      /"mail-000007" has label/,
    );
  });
});
