import assert from 'node:assert/strict';
import { classify, type ProgramEnd } from '../../src/jobs/classify.ts';

const end = (more: Partial<ProgramEnd>): ProgramEnd => ({
  exitCode: 1,
  signal: null,
  failureFile: '',
  stderrTail: '',
  expects: undefined,
  leftWhatIsExpected: false,
  kernelOomKills: 0,
  ...more,
});
const classOf = (more: Partial<ProgramEnd>): string | undefined => classify(end(more)).failureClass;
const bySignal = (signal: NodeJS.Signals, more: Partial<ProgramEnd> = {}) =>
  classOf({ exitCode: null, signal, ...more });

describe('classify', () => {
  it('a stop of ours decides, whatever the program made of it', () => {
    const stopped = (why: 'cancelled' | 'preempted' | 'timeLimit' | 'stalled' | 'outOfMemory' | 'claimLost') =>
      classify(end({ stopped: { why, detail: 'so it was' }, exitCode: 0 }));
    assert.deepEqual(stopped('cancelled'), { state: 'cancelled', reason: 'so it was' });
    for (const why of ['preempted', 'timeLimit', 'stalled', 'outOfMemory'] as const)
      assert.equal(stopped(why).failureClass, why);
    assert.equal(stopped('claimLost').failureClass, 'infrastructure');
  });

  it('SIGKILL by an unknown hand is infrastructure, by the kernel for memory outOfMemory', () => {
    assert.equal(bySignal('SIGKILL'), 'infrastructure');
    assert.equal(bySignal('SIGKILL', { kernelOomKills: 1 }), 'outOfMemory');
    assert.equal(classOf({ exitCode: 137 }), 'infrastructure');
  });

  it('SIGTERM that was not ours is a preemption, also through a shell', () => {
    assert.equal(bySignal('SIGTERM'), 'preempted');
    assert.equal(classOf({ exitCode: 143 }), 'preempted');
  });

  it('crashes are tried again, except for want of memory', () => {
    assert.equal(bySignal('SIGSEGV'), 'infrastructure');
    assert.equal(bySignal('SIGABRT'), 'infrastructure');
    const v8 = 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n 1: 0xb';
    assert.equal(bySignal('SIGABRT', { stderrTail: v8 }), 'outOfMemory');
  });

  it('reads what programs print when memory or disk is out', () => {
    assert.equal(classOf({ stderrTail: 'Traceback\n  File "a"\nMemoryError\n' }), 'outOfMemory');
    assert.equal(classOf({ stderrTail: 'torch.OutOfMemoryError: CUDA out of memory. Tried' }), 'outOfMemory');
    assert.equal(classOf({ stderrTail: 'OSError: [Errno 28] No space left on device' }), 'infrastructure');
    assert.equal(classOf({ stderrTail: 'ValueError: MemoryError is not a column' }), 'userError');
  });

  it('the failure file comes before signals and stderr, and is the reason', () => {
    const outcome = classify(end({ failureFile: 'diverged: NaN\n', stderrTail: 'MemoryError', exitCode: 137 }));
    assert.deepEqual(outcome, { state: 'failed', failureClass: 'diverged', reason: 'diverged: NaN' });
    assert.equal(classOf({ failureFile: 'wrong column' }), 'userError');
    assert.equal(classOf({ failureFile: 'diverged: NaN', exitCode: 0 }), undefined);
  });

  it('keeps the end of a long stderr', () => {
    const { reason } = classify(end({ stderrTail: `${'x'.repeat(5_000)} the cause` }));
    assert.ok(reason!.length <= 1024 && reason!.startsWith('exit code 1: ') && reason!.endsWith('the cause'));
  });

  it('exit 0 succeeds unless something was expected', () => {
    assert.deepEqual(classify(end({ exitCode: 0 })), { state: 'succeeded' });
    assert.deepEqual(classify(end({ exitCode: 0, expects: 'model', leftWhatIsExpected: true })), {
      state: 'succeeded',
    });
    assert.equal(classOf({ exitCode: 0, expects: 'model' }), 'userError');
  });
});
