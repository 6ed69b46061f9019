import assert from 'node:assert/strict';
import { checkLabelDisagreement, checkTrainingData, type DataCounts } from '../../src/stats/data-checks.ts';
import { createRandom } from '../../src/stats/random.ts';
import { binomialSample } from './simulate.ts';

const good: DataCounts = {
  rows: 1000,
  labels: { classCounts: { ham: 700, spam: 300 } },
  repeats: 20,
  schemaErrors: {},
};
const limits = { minRows: 100, minClassShare: 0.01, maxRepeatShare: 0.3 };

describe('stats: data checks', () => {
  it('asks of numbers only that they differ', () => {
    const of = (range: { lowest: number; highest: number } | null, rows = 1000) =>
      checkTrainingData({ ...good, rows, labels: { range } }, limits).map(({ message }) => message);
    assert.deepEqual(of({ lowest: -1, highest: 3.5 }), []);
    assert.deepEqual(of({ lowest: 2, highest: 2 }), ['all 1000 rows have one label, 2: nothing to learn from']);
    assert.deepEqual(of(null, 0), ['0 rows to train on, at least 100 are required']);
  });

  it('finds nothing in good data', () => {
    assert.deepEqual(checkTrainingData(good, limits), []);
  });

  it('names each problem with its rows, share and limit', () => {
    const problems = checkTrainingData(
      {
        rows: 50,
        labels: { classCounts: { ham: 50, spam: 0 } },
        repeats: 40,
        schemaErrors: { 'isSpam: expected "0" or "1"': 3, 'subject: missing': 0 },
      },
      limits,
    );
    assert.deepEqual(
      problems.map(({ check, rows }) => [check, rows]),
      [
        ['schema', 3],
        ['minRows', 50],
        ['classBalance', 50],
        ['repeats', 40],
      ],
    );
    assert.match(problems[0]!.message, /3 of 50 rows do not fit the schema: isSpam: expected "0" or "1"/);
    assert.match(problems[2]!.message, /all 50 rows have one label, "ham"/);
    assert.match(problems[3]!.message, /40 of 50 rows \(80 %\) repeat another row, at most 30 % may/);
  });

  it('finds a class that is too rare, and no rows at all', () => {
    const rare = checkTrainingData({ ...good, labels: { classCounts: { ham: 995, spam: 5 } } }, limits);
    assert.deepEqual(
      rare.map(({ check, share }) => [check, share]),
      [['classBalance', 0.005]],
    );
    const none = checkTrainingData({ rows: 0, labels: { classCounts: {} }, repeats: 0, schemaErrors: {} }, limits);
    assert.deepEqual(
      none.map(({ check }) => check),
      ['minRows'],
    );
  });

  it('finds the poisoned week, overall and by slice, and leaves the others alone', () => {
    const problems = checkLabelDisagreement(
      [
        { slice: 'overall', rows: 2000, differ: 450 },
        { slice: 'week=34', rows: 400, differ: 380 },
        { slice: 'week=35', rows: 1600, differ: 70 },
      ],
      0.15,
    );
    assert.deepEqual(
      problems.map(({ slice, rows }) => [slice, rows]),
      [
        [undefined, 2000],
        ['week=34', 400],
      ],
    );
    assert.match(
      problems[1]!.message,
      /^380 of 400 labels in week=34 \(95 %, at least 92\.\d % with 95 % confidence\)/,
    );
  });

  it('does not trip on a tiny slice, nor on the unluckiest of many honest ones (simulation)', () => {
    assert.deepEqual(checkLabelDisagreement([{ slice: 'month=2002-10', rows: 4, differ: 2 }], 0.15), []);
    assert.deepEqual(checkLabelDisagreement([{ slice: 'empty=1', rows: 0, differ: 0 }], 0.15), []);
    const random = createRandom(4);
    let tripped = 0;
    for (let run = 0; run < 200; run++) {
      const slices = Array.from({ length: 20 }, (_, i) => ({
        slice: `s=${i}`,
        rows: 100,
        differ: binomialSample(random, 100, 0.15),
      }));
      if (checkLabelDisagreement(slices, 0.15).length > 0) tripped++;
    }
    // Family-wise error 5 % at the limit itself; exact tests stay below it.
    assert.ok(tripped <= 18, `${tripped} of 200`);
  });
});
