import assert from 'node:assert/strict';
import { monitorLines } from '../../../src/client/cli/monitor-facts.ts';
import type { MonitorRecord } from '../../../src/contracts/monitor.ts';
import { decideBias } from '../../../src/stats/bias.ts';
import { decideDrift } from '../../../src/stats/drift.ts';

const digest = `sha256:${'a'.repeat(64)}` as const;
const numbers = (by: number) => Array.from({ length: 100 }, (_, i) => i + by);
const drift = (by: number) =>
  decideDrift([{ subject: 'size', kind: 'numbers', reference: numbers(0), live: numbers(by) }], 2, {
    ...{ alpha: 0.01, psiAbove: 0.2 },
  });
const bias = (rows: number) => {
  const group = (name: string, selected: number) => ({
    ...{ group: name, rows, selected, positives: rows, truePositives: selected },
  });
  return decideBias(new Map([['age', [group('age=old', rows / 2), group('age=young', rows / 2 + 2)]]]), 1, {
    ...{ alpha: 0.01, differenceAbove: 0.1, minRows: 30 },
  });
};
const record = (changes: Partial<MonitorRecord>): MonitorRecord => ({
  ...{ schema: 'goto3/monitor/v1', loop: 'l', rows: null, answers: null },
  ...changes,
});
const answers: MonitorRecord['answers'] = {
  ...{ model: digest, cursor: '{}', reference: null, windows: 0, drift: null, alarm: null },
};

describe('loop status: the monitor', () => {
  it('says what came nearest to an alarm, or the alarm', () => {
    const calm = record({ rows: { dataset: digest, drift: drift(0), bias: bias(100) }, answers });
    assert.deepEqual(monitorLines(calm), [
      ['new rows', 'no drift in window 2; furthest size, PSI 0.00'],
      ['live answers', 'the first window is being filled'],
      ['bias', 'within the limit in window 1; widest by age, 2.0 pt'],
    ]);
    const found = drift(80);
    const alarm = record({
      rows: { dataset: digest, drift: null, bias: bias(20) },
      answers: { ...answers, reference: digest, drift: found },
    });
    assert.match(found.reason ?? '', /^drift: size, PSI /);
    assert.deepEqual(monitorLines(alarm), [
      ['live answers', found.reason],
      ['bias', 'within the limit in window 1; no two groups large enough'],
    ]);
    assert.deepEqual(monitorLines(record({ answers: { ...answers, reference: digest } })), [
      ['live answers', 'no window is full yet'],
    ]);
    assert.deepEqual(monitorLines(record({})), []);
  });
});
