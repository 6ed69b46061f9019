import assert from 'node:assert/strict';
import { ourWeeks, pairedWeek, pooledAccuracy, sklearnWeeks, type WeekResult } from '../../bench/spam-weeks.ts';
import { mailEnvironment } from '../../examples/spam-filter/environment.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const install = 'npm run test:oracles, or set GOTO3_ORACLE_PYTHON to a Python with scikit-learn';

/** Eleven weeks, three models each; scikit-learn trains on every mail, ours without the hold-out that the loop keeps. */
describe(`text classifier against scikit-learn retrained weekly${python === undefined ? ` (${install})` : ''}`, function () {
  this.timeout(600_000);
  let weeks: WeekResult[];
  before(async function () {
    if (python === undefined) return this.skip();
    const { cacheFolder } = mailEnvironment();
    const ours = await ourWeeks({ cacheFolder, heldOut: 0.2, hyperparameters: {} });
    const theirs = await sklearnWeeks(python, cacheFolder);
    assert.equal(theirs.weeks.length, ours.weeks.length);
    weeks = ours.weeks.map((week, w) => ({ ...week, wrong: { ...week.wrong, ...theirs.weeks[w]!.wrong } }));
  });

  for (const model of ['fresh', 'warm'] as const) {
    it(`${model}: at most 0.5 points below over all weeks`, () => {
      const [ours, theirs] = [pooledAccuracy(weeks, model), pooledAccuracy(weeks, 'sklearn')];
      assert.ok(theirs > 0.97, `the baseline itself is weak: ${theirs}`);
      assert.ok(ours >= theirs - 0.005, `ours ${ours}, theirs ${theirs}`);
    });

    it(`${model}: no week below by more than the week's paired 95 % interval`, () => {
      for (const week of weeks) {
        const { difference, upper } = pairedWeek(week, model, 'sklearn');
        assert.ok(upper >= 0, `week of ${week.start}: ${difference}, at most ${upper}`);
      }
    });
  }

  it('the drift is real: by the end of September a frozen model is far below a retrained one', () => {
    const september26 = weeks.find((week) => week.start === '2002-09-26')!;
    const accuracy = (wrong: ReadonlySet<string> | undefined) => 1 - wrong!.size / september26.mails;
    const { fresh, frozen, sklearn, sklearnFrozen } = september26.wrong;
    assert.ok(accuracy(fresh) - accuracy(frozen) > 0.05);
    assert.ok(accuracy(sklearn) - accuracy(sklearnFrozen) > 0.05);
  });
});
