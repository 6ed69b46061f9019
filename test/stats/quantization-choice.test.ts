import assert from 'node:assert/strict';
import type { Verdict } from '../../src/contracts/verdict.ts';
import { chooseContestant, type QuantizationLoss } from '../../src/stats/quantization-choice.ts';

const verdict = (result: Verdict['result']): Verdict => ({
  result,
  reasons: [`because of ${result}`],
  bounds: [],
  rows: 1000,
  rowsNeeded: null,
  servable: true,
  withoutChampion: false,
});
const loss = (lower: number | null, estimate: number | null = 0): QuantizationLoss => ({
  metric: 'accuracy',
  estimate,
  lower,
  limit: -0.01,
});

describe('stats: int8 or fp32', () => {
  it('ships int8 when it holds', () => {
    const chosen = chooseContestant({ fp32: verdict('pass'), int8: verdict('pass'), int8VsFp32: loss(-0.004) });
    assert.equal(chosen.precision, 'int8');
    assert.match(chosen.reason, /at worst -0\.40 pt .* -1\.00 pt is allowed/);
  });

  it('ships int8 even where fp32 fails, for size or latency', () => {
    const chosen = chooseContestant({ fp32: verdict('fail'), int8: verdict('pass'), int8VsFp32: loss(-0.004) });
    assert.equal(chosen.precision, 'int8');
    assert.equal(chosen.verdict.result, 'pass');
  });

  it('else goes on with fp32 and its own verdict', () => {
    const fp32 = verdict('inconclusive');
    for (const contest of [
      { fp32 },
      { fp32, int8: verdict('fail'), int8VsFp32: loss(0.01) },
      { fp32, int8: verdict('inconclusive'), int8VsFp32: loss(0.01) },
      { fp32, int8: verdict('pass') },
      { fp32, int8: verdict('pass'), int8VsFp32: loss(-0.004), int8DoesNotCount: 'it was measured elsewhere' },
      { fp32, int8: verdict('pass'), int8VsFp32: loss(null) },
      { fp32, int8: verdict('pass'), int8VsFp32: loss(-0.02) },
      { fp32, int8: verdict('pass'), int8VsFp32: loss(-0.01) },
      { fp32, int8: verdict('pass'), int8VsFp32: loss(Number.NaN) },
    ]) {
      const chosen = chooseContestant(contest);
      assert.deepEqual([chosen.precision, chosen.verdict], ['fp32', fp32]);
      assert.ok(chosen.reason.length > 10);
    }
  });
});
