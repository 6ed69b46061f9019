import assert from 'node:assert/strict';
import { StatsInputError } from '../../src/stats/errors.ts';
import { decideProbation, type ProbationEvidence } from '../../src/stats/probation.ts';
import { createRandom } from '../../src/stats/random.ts';

const rules = { accuracyMargin: 0.03, alpha: 0.05 };

describe('stats: probation', () => {
  it('goes on without labels, within the margin, and where a loss is not proven', () => {
    for (const evidence of [
      { kind: 'paired', rows: 0, gained: 0, lost: 0 },
      { kind: 'paired', rows: 500, gained: 15, lost: 20 },
      { kind: 'paired', rows: 100, gained: 2, lost: 7 },
      { kind: 'reference', rows: 0, correct: 0, reference: 0.97 },
      { kind: 'reference', rows: 500, correct: 480, reference: 0.97 },
    ] satisfies ProbationEvidence[])
      assert.equal(decideProbation(evidence, rules).decision, 'continue', JSON.stringify(evidence));
  });

  it('rolls back on a proven loss and says what it rests on', () => {
    const paired = decideProbation({ kind: 'paired', rows: 500, gained: 5, lost: 50 }, rules);
    assert.equal(paired.decision, 'rollback');
    assert.ok(paired.upper! < -0.03 && paired.estimate === -0.09);
    assert.match(paired.reason, /-9\.00 pt from the version before, on the same rows \(500 labelled rows/);
    const reference = decideProbation({ kind: 'reference', rows: 300, correct: 255, reference: 0.97 }, rules);
    assert.equal(reference.decision, 'rollback');
    assert.match(reference.reason, /from the reference of 97\.00 %/);
  });

  it('rolls back a version at the margin with probability at most alpha, looking after every label (simulation)', () => {
    const random = createRandom(9);
    const runs = 200;
    let rolledBack = 0;
    for (let run = 0; run < runs; run++) {
      let [gained, lost] = [0, 0];
      for (let rows = 1; rows <= 800; rows++) {
        const u = random.uniform();
        // Week by week the rows get harder, and the difference stays at −3 points.
        const disagreement = rows < 400 ? 0.01 : 0.1;
        if (u < disagreement) gained++;
        else if (u < 2 * disagreement + 0.03) lost++;
        else continue;
        if (decideProbation({ kind: 'paired', rows, gained, lost }, rules).decision === 'rollback') {
          rolledBack++;
          break;
        }
      }
    }
    assert.ok(rolledBack / runs <= 0.05, `${rolledBack} of ${runs}`);
  });

  it('nearly always notices a version that lost eight points within a thousand labels', () => {
    const random = createRandom(10);
    let noticed = 0;
    for (let run = 0; run < 20; run++) {
      let [gained, lost] = [0, 0];
      for (let rows = 0; rows < 1000; rows++) {
        const u = random.uniform();
        if (u < 0.02) gained++;
        else if (u < 0.12) lost++;
      }
      if (decideProbation({ kind: 'paired', rows: 1000, gained, lost }, rules).decision === 'rollback') noticed++;
    }
    assert.ok(noticed >= 18, `${noticed} of 20`);
  });

  it('refuses counts that cannot be', () => {
    for (const evidence of [
      { kind: 'paired', rows: 10, gained: 6, lost: 5 },
      { kind: 'paired', rows: 10, gained: -1, lost: 5 },
      { kind: 'reference', rows: 10, correct: 11, reference: 0.9 },
      { kind: 'reference', rows: 10, correct: 9, reference: Number.NaN },
    ] satisfies ProbationEvidence[])
      assert.throws(() => decideProbation(evidence, rules), StatsInputError, JSON.stringify(evidence));
    const fine = { kind: 'paired', rows: 10, gained: 1, lost: 1 } as const;
    assert.throws(() => decideProbation(fine, { accuracyMargin: -0.03, alpha: 0.05 }), StatsInputError);
    assert.throws(() => decideProbation(fine, { accuracyMargin: 0.03, alpha: 0 }), StatsInputError);
  });
});
