import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type FailureClass, failureClasses } from '../../../src/contracts/failures.ts';
import { afterFailure, type FailedAttempt } from '../../../src/workflows/policies/job-retry.ts';

const small = { gpus: 1, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };
const max = { gpus: 1, cpus: 1, memoryBytes: 3_000, timeLimitMs: 4_000 };
const failed = (failureClass: FailureClass, resources = small): FailedAttempt => ({ failureClass, resources });

describe('policies/job-retry', () => {
  it('resumes after infrastructure failures with growing delays, and gives up after five in a row', () => {
    const failures: FailedAttempt[] = [];
    const delays: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      failures.push(failed('infrastructure'));
      const next = afterFailure(failures, max);
      if (next.kind === 'giveUp') break;
      delays.push(next.delayMs);
    }
    assert.deepEqual(delays, [1_000, 10_000, 60_000, 300_000, 900_000]);
  });

  it('takes bigger resources up to the cap', () => {
    const first = afterFailure([failed('outOfMemory')], max);
    assert.deepEqual(first, { kind: 'resume', delayMs: 0, resources: { ...small, memoryBytes: 2_000 } });
    const second = afterFailure([failed('outOfMemory', { ...small, memoryBytes: 2_000 })], max);
    assert.ok(second.kind === 'resume' && second.resources.memoryBytes === 3_000);
    assert.equal(afterFailure([failed('outOfMemory', max)], max).kind, 'giveUp');
    const time = afterFailure([failed('timeLimit')], max);
    assert.ok(time.kind === 'resume' && time.resources.timeLimitMs === 2_000);
  });

  it('resumes a stalled job once', () => {
    assert.equal(afterFailure([failed('stalled')], max).kind, 'resume');
    assert.equal(afterFailure([failed('stalled'), failed('stalled')], max).kind, 'giveUp');
    assert.equal(afterFailure([failed('stalled'), failed('preempted'), failed('stalled')], max).kind, 'resume');
  });

  it('never submits again what may be alive, or what only a person can repair', () => {
    for (const failureClass of ['lost', 'userError', 'badData', 'diverged'] as const)
      assert.equal(afterFailure([failed(failureClass)], max).kind, 'giveUp');
  });

  it('never asks for more than the cap, and always ends, whatever fails', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...failureClasses), { minLength: 60, maxLength: 60 }), (classes) => {
        const failures: FailedAttempt[] = [];
        let resources = small;
        for (const failureClass of classes) {
          failures.push({ failureClass, resources });
          const next = afterFailure(failures, max);
          if (next.kind === 'giveUp') return;
          resources = next.resources;
          assert.ok(resources.memoryBytes <= max.memoryBytes && resources.timeLimitMs <= max.timeLimitMs);
        }
      }),
    );
  });
});
