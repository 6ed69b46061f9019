import type { ChildProcess } from 'node:child_process';
import { fromErrorMessage, ServingError, servingErrors } from '../../errors.ts';
import type { InputRow } from '../../features/rows.ts';
import { forkProgram } from '../../program.ts';
import type { FromInference, FromLane, RunResult, ToInference } from './messages.ts';

/** One thread with one model; takes one batch at a time. */
export interface Lane {
  /** @throws ServingError `InferenceCrashed` when the process dies or hangs before it answers. */
  run(requests: InputRow[][]): Promise<RunResult[]>;
  /** Unloads the model; call it when no batch is running. */
  shut(): void;
}

export interface InferenceProcessOptions {
  /** Working directory; holds nothing but models. */
  workingFolder: string;
  /** Longest wait for a model to load or a batch to run; after it the process is killed, because a thread cannot be. */
  openTimeoutMs: number;
  runTimeoutMs: number;
  /** Resident memory that a process may take beyond what it had when its models were loaded: more is a leak. */
  mostGrowthBytes: number;
}

/** How a process ended. */
export interface ProcessEnd {
  reason: string;
  /** Were at work: whose batch ended the process is among them. */
  running: ReadonlySet<Lane>;
}

interface Waiter {
  resolve(message: FromLane): void;
  reject(error: Error): void;
}

let nextLane = 1;

/** The endpoint's side of one inference process. */
export class InferenceProcess {
  /** Resolves with what happened when the process has ended and every caller has been told. */
  readonly ended: Promise<ProcessEnd>;
  private readonly options: InferenceProcessOptions;
  private readonly child: ChildProcess;
  private readonly waiters = new Map<number, Waiter>();
  private readonly lanes = new Map<number, Lane>();
  private readonly onGrown: () => void;
  /** Resident memory at the first report after a model was loaded. */
  private loadedBytes: number | undefined;
  private reason: string | undefined;
  private closing = false;
  private alive = true;

  /** @param onGrown is called about every second for as long as it has grown by more than it may */
  constructor(options: InferenceProcessOptions, onGrown: () => void) {
    this.options = options;
    this.onGrown = onGrown;
    this.child = forkProgram(new URL('./inference-process.ts', import.meta.url), options.workingFolder, 'advanced');
    this.child.on('message', (message: FromInference) => {
      if (message.op === 'memory') return this.measure(message.residentBytes);
      // The next report is of the models that are loaded now.
      if (message.op === 'opened' || message.op === 'notOpened') this.loadedBytes = undefined;
      this.take(message.lane)?.resolve(message);
    });
    this.ended = new Promise((resolve) => {
      const end = (how: string): void => {
        if (!this.alive) return;
        this.alive = false;
        const reason = this.reason ?? how;
        const running = new Set([...this.waiters.keys()].flatMap((lane) => this.lanes.get(lane) ?? []));
        for (const lane of [...this.waiters.keys()]) this.take(lane)!.reject(crashed(reason));
        resolve({ reason, running });
      };
      this.child.on('exit', (code, signal) => end(`it ended with ${signal ?? `exit code ${code}`}`));
      this.child.on('error', (error) => {
        end(`it could not be started: ${error.message}`);
        this.child.kill('SIGKILL');
      });
    });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Loads a model into a thread of its own; the other lanes go on. @throws ServingError `ModelNotServable` or `InferenceCrashed`. */
  async open(modelFolder: string): Promise<Lane> {
    const lane = nextLane++;
    const answer = await this.ask({ op: 'open', lane, modelFolder }, this.options.openTimeoutMs);
    if (answer.op === 'notOpened') throw fromErrorMessage(answer.error);
    const opened: Lane = {
      run: async (requests) => {
        const ran = await this.ask({ op: 'run', lane, requests }, this.options.runTimeoutMs);
        if (ran.op !== 'ran') throw new Error(`inference process answered "${ran.op}" to a batch`);
        return ran.results;
      },
      shut: () => {
        this.lanes.delete(lane);
        this.say({ op: 'shut', lane });
      },
    };
    this.lanes.set(lane, opened);
    return opened;
  }

  /** Ends it now; callers that wait get `InferenceCrashed`. */
  kill(reason: string): void {
    this.reason ??= reason;
    this.child.kill('SIGKILL');
  }

  /** Ends it when nobody waits for an answer any more. */
  close(reason: string): void {
    this.reason ??= reason;
    this.closing = true;
    if (this.waiters.size === 0) this.kill(reason);
  }

  private async ask(message: ToInference, timeoutMs: number): Promise<FromLane> {
    if (!this.alive) throw crashed(this.reason ?? 'it has ended');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.kill(`no answer to "${message.op}" within ${timeoutMs} ms`), timeoutMs);
      this.waiters.set(message.lane, {
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.say(message);
    });
  }

  private measure(residentBytes: number): void {
    this.loadedBytes ??= residentBytes;
    if (residentBytes - this.loadedBytes > this.options.mostGrowthBytes) this.onGrown();
  }

  private say(message: ToInference): void {
    // A send that fails means that the process is ending; `exit` tells everybody who waits.
    if (this.child.connected) this.child.send(message, () => {});
  }

  private take(lane: number): Waiter | undefined {
    const waiter = this.waiters.get(lane);
    this.waiters.delete(lane);
    if (this.closing && this.alive && this.waiters.size === 0) this.kill('it has nothing left to do');
    return waiter;
  }
}

const crashed = (what: string): ServingError =>
  new ServingError(servingErrors.inferenceCrashed, `the inference process stopped: ${what}`);
