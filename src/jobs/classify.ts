import type { FailureClass } from '../contracts/failures.ts';
import type { JobSpec, JobState } from '../contracts/job.ts';

/** Why the wrapper stopped a program; undefined when the program ended by itself. */
export type StopReason = 'cancelled' | 'preempted' | 'timeLimit' | 'stalled' | 'outOfMemory' | 'claimLost';

/** All that is known about a program that has ended. */
export interface ProgramEnd {
  stopped?: { why: StopReason; detail: string };
  /** Why it was never started: no such program, no such folder. */
  notRunnable?: string;
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  /** Text of the `failure` file, empty when there is none. */
  failureFile: string;
  /** The end of stderr. */
  stderrTail: string;
  expects: JobSpec['expects'];
  /** Whether the folder that `expects` names holds a file. */
  leftWhatIsExpected: boolean;
  /** Files that the spec names and that are not there. */
  missing?: readonly string[];
  /** Processes that the kernel killed for memory while the program ran. */
  kernelOomKills: number;
}

export interface Outcome {
  state: Extract<JobState, 'succeeded' | 'failed' | 'cancelled'>;
  failureClass?: FailureClass;
  reason?: string;
}

/** SageMaker shows so many characters of the `failure` file. */
const longestReason = 1024;

/**
 * What a job's end means. In order: a stop of ours; exit 0; what the program itself wrote into its `failure` file; the
 * signal or exit code; what the last lines of stderr say about memory and disk. Pure.
 */
export function classify(end: ProgramEnd): Outcome {
  if (end.stopped?.why === 'cancelled') return { state: 'cancelled', reason: end.stopped.detail };
  if (end.stopped) return failed(stoppedClass[end.stopped.why], end.stopped.detail);
  if (end.notRunnable !== undefined) return failed('userError', end.notRunnable);
  if (end.exitCode === 0) return judgeExitZero(end);
  return failed(failureClassOf(end), reasonOf(end));
}

const stoppedClass: Record<Exclude<StopReason, 'cancelled'>, FailureClass> = {
  preempted: 'preempted',
  timeLimit: 'timeLimit',
  stalled: 'stalled',
  outOfMemory: 'outOfMemory',
  claimLost: 'infrastructure',
};

function judgeExitZero(end: ProgramEnd): Outcome {
  if (end.missing?.length)
    return failed(
      'userError',
      `the program ended with exit code 0 but left no ${end.missing.join(', ')} in SM_OUTPUT_DATA_DIR`,
    );
  if (end.expects === undefined || end.leftWhatIsExpected) return { state: 'succeeded' };
  const folder = end.expects === 'model' ? 'SM_MODEL_DIR' : 'SM_OUTPUT_DATA_DIR';
  return failed('userError', `the program ended with exit code 0 but left no file in ${folder}`);
}

function failureClassOf(end: ProgramEnd): FailureClass {
  if (end.failureFile.startsWith('diverged:')) return 'diverged';
  if (end.failureFile.startsWith('badData:')) return 'badData';
  const signal = signalOf(end);
  if (signal === 'SIGKILL') return end.kernelOomKills > 0 ? 'outOfMemory' : 'infrastructure';
  // Somebody asked it to leave and it was not us: the host goes down or a scheduler wants its place.
  if (signal === 'SIGTERM' || signal === 'SIGINT' || signal === 'SIGHUP') return 'preempted';
  if (signal === 'SIGXCPU') return 'timeLimit';
  if (outOfMemoryText.test(end.stderrTail)) return 'outOfMemory';
  if (diskFullText.test(end.stderrTail)) return 'infrastructure';
  // A crash (SIGSEGV, SIGABRT, SIGBUS …) is tried again from the checkpoint; a plain exit code is the program's own word.
  return signal === undefined ? 'userError' : 'infrastructure';
}

/** V8, Python, PyTorch and C++ in the words with which they give up. */
const outOfMemoryText =
  /heap out of memory|^MemoryError\b|CUDA out of memory|OutOfMemoryError|std::bad_alloc|Cannot allocate memory/m;
const diskFullText = /No space left on device|ENOSPC/;

/** A shell reports its child's signal as 128 + n. */
const signalsByNumber: Readonly<Record<number, NodeJS.Signals>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  15: 'SIGTERM',
  24: 'SIGXCPU',
};
const signalOf = (end: ProgramEnd): NodeJS.Signals | undefined =>
  end.signal ?? (end.exitCode === null ? undefined : signalsByNumber[end.exitCode - 128]);

function reasonOf(end: ProgramEnd): string {
  if (end.failureFile.trim() !== '') return end.failureFile.trim();
  const lastLines = end.stderrTail.trimEnd().split('\n').slice(-20).join('\n');
  const how = end.signal === null ? `exit code ${end.exitCode}` : `killed by ${end.signal}`;
  // The end of stderr says more than its beginning.
  return lastLines === '' ? how : `${how}: ${lastLines.slice(-(longestReason - how.length - 2))}`;
}

const failed = (failureClass: FailureClass, reason: string): Outcome => ({
  state: 'failed',
  failureClass,
  reason: reason.slice(0, longestReason),
});
