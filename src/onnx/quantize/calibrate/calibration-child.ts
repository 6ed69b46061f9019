import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { failureTypes } from '../../../contracts/failures.ts';
import { OnnxError } from '../../error.ts';
import type { FromCalibration, ToCalibration } from './messages.ts';

/** The calibration process ended without an answer; another try may get one. */
export class CalibrationFailed extends Error {
  override readonly name = 'CalibrationFailed';
}

/** The calibration process: one question at a time; when it dies or is cancelled the open question fails. */
export class CalibrationChild {
  private readonly child: ChildProcess;
  private readonly signal: AbortSignal | undefined;
  private readonly ended: Promise<void>;
  private settle: ((answer: FromCalibration | Error) => void) | undefined;
  private end: string | undefined;
  /** The engine cannot be interrupted inside a run; its process can. */
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

  /** @throws OnnxError, CalibrationFailed, the signal's reason */
  async ask(message: ToCalibration, onCounted?: (batches: number) => void): Promise<FromCalibration> {
    if (this.end !== undefined) throw this.failure();
    const answer = await new Promise<FromCalibration | Error>((resolve) => {
      this.settle = resolve;
      const onMessage = (from: FromCalibration): void => {
        if (from.op === 'counted') onCounted?.(from.batches);
        else resolve(from);
      };
      this.child.on('message', onMessage);
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

  async close(): Promise<void> {
    this.signal?.removeEventListener('abort', this.kill);
    this.kill();
    await this.ended;
  }

  private failure(): Error {
    if (this.signal?.aborted) return this.signal.reason as Error;
    return new CalibrationFailed(`the calibration process gave no answer: ${this.end}`);
  }
}
