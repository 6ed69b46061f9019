import assert from 'node:assert/strict';
import { ask } from '../../src/activities/judging/judge.ts';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import { computeMetrics, sliceMetrics } from '../../src/stats/metrics.ts';
import { createRandom } from '../../src/stats/random.ts';
import { outcomesOf } from '../stats/simulate.ts';

const meaning = { task: 'binary-classification', positive: 'spam' } as const;
const rows = (count: number): RowOutcome[] => outcomesOf(createRandom(3), count, 0.95, (i) => [`half=${i % 2}`]);

describe('the thread that counts', () => {
  it('gives the same bytes as this thread would', async () => {
    const outcomes = rows(300);
    assert.deepEqual(await ask('measure', { outcomes, meaning, own: {} }), {
      metrics: computeMetrics(outcomes, meaning),
      slices: sliceMetrics(outcomes, meaning),
    });
  });

  it('leaves this one free: it beats on while 2,500 rows are bootstrapped', async () => {
    let beats = 0;
    const timer = setInterval(() => {
      beats += 1;
    }, 1);
    try {
      const measured = ask('measure', { outcomes: rows(2_500), meaning, own: {} });
      // What is still to do here, such as copying the rows, is done before the first beat.
      await new Promise((resolve) => setTimeout(resolve, 1));
      beats = 0;
      await measured;
    } finally {
      clearInterval(timer);
    }
    assert.ok(beats >= 10, `${beats} beats`);
  });

  it('answers many at a time, each its own, errors with their type', async () => {
    const [first, twice, last] = await Promise.allSettled([
      ask('measure', { outcomes: rows(20), meaning, own: {} }),
      ask('measure', { outcomes: [...rows(20), rows(1)[0]!], meaning, own: {} }),
      ask('measure', { outcomes: rows(40), meaning, own: {} }),
    ]);
    assert.ok(first!.status === 'fulfilled' && first.value.metrics.accuracy!.rows === 20);
    assert.ok(twice!.status === 'rejected' && twice.reason.type === 'InvalidInput', 'a row comes twice');
    assert.ok(last!.status === 'fulfilled' && last.value.metrics.accuracy!.rows === 40);
  });
});
