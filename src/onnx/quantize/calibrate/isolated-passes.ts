import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { failureTypes } from '../../../contracts/failures.ts';
import { OnnxError } from '../../error.ts';
import type { Tensor } from '../../model.ts';
import type { Passes, PassesOptions } from './forward-passes.ts';
import type { FromCalibration, ToCalibration } from './messages.ts';

/** The calibration process ended without an answer; another try may get one. */
export class CalibrationFailed extends Error {
  override readonly name = 'CalibrationFailed';
}

/**
 * Forward passes in a child process: the engine blocks the thread that calls it and cannot be interrupted, but its
 * process can. One question at a time; when the process dies or is cancelled the open question fails.
 */
export class IsolatedPasses implements Passes {
  private readonly child: ChildProcess;
  private readonly signal: AbortSignal | undefined;
  private readonly ended: Promise<void>;
  private settle: ((answer: FromCalibration | Error) => void) | undefined;
  private end: string | undefined;
  private readonly kill = (): void => void this.child.kill('SIGKILL');

  /** @param folder holds the models and nothing else; external data are looked up below it */
  constructor(folder: string, signal: AbortSignal | undefined) {
    this.signal = signal;
    this.child = fork(fileURLToPath(new URL('./calibration-process.ts', import.meta.url)), [], {
      cwd: folder,
      // It reads bytes that nobody vouches for: no secret for it.
      env: {},
      execArgv: ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href],
      // Typed arrays as they are, not as JSON.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    signal?.addEventListener('abort', this.kill);
    this.ended = new Promise((resolve) => {
      const finish = (how: string): void => {
        this.end ??= how;
        this.settle?.(this.failure());
        resolve();
      };
      this.child.on('exit', (code, by) => finish(`it ended with ${by ?? `exit code ${code}`}`));
      this.child.on('error', (error) => finish(`it could not be started: ${error.message}`));
    });
  }

  /** These throw `OnnxError`, `CalibrationFailed`, or the signal's reason. */
  async open(options: PassesOptions): Promise<void> {
    await this.ask({ op: 'open', ...options });
  }

  async observe(batch: readonly Tensor[]): Promise<void> {
    await this.ask({ op: 'observe', batch });
  }

  async finish(onCounted: (batches: number) => void): ReturnType<Passes['finish']> {
    const answer = await this.ask({ op: 'finish' }, onCounted);
    if (answer.op !== 'finished') throw new CalibrationFailed(`the calibration process answered "${answer.op}"`);
    return answer.ranges;
  }

  async close(): Promise<void> {
    this.signal?.removeEventListener('abort', this.kill);
    this.kill();
    await this.ended;
  }

  private async ask(message: ToCalibration, onCounted?: (batches: number) => void): Promise<FromCalibration> {
    if (this.end !== undefined) throw this.failure();
    const answer = await new Promise<FromCalibration | Error>((resolve) => {
      this.settle = resolve;
      this.child.on('message', (from: FromCalibration) => {
        if (from.op === 'counted') onCounted?.(from.batches);
        else resolve(from);
      });
      // A message that cannot be delivered is followed by the exit.
      this.child.send(message, () => {});
    });
    this.settle = undefined;
    this.child.removeAllListeners('message');
    if (answer instanceof Error) throw answer;
    if (answer.op !== 'failed') return answer;
    throw answer.type === failureTypes.invalidInput
      ? new OnnxError(answer.message)
      : new CalibrationFailed(`the calibration process: ${answer.message}`);
  }

  private failure(): Error {
    if (this.signal?.aborted) return this.signal.reason as Error;
    return new CalibrationFailed(`the calibration process gave no answer: ${this.end}`);
  }
}
