import type { Prediction } from '../../../contracts/model.ts';
import { fromErrorMessage, ServingError, servingErrors } from '../../errors.ts';
import type { InputRow } from '../../features/rows.ts';
import type { RunResult } from './messages.ts';
import type { Lane } from './process.ts';

export interface QueueLimits {
  /** Requests that may wait for a lane, callers' and shadows' counted apart; one more is `Overloaded`. */
  maxWaiting: number;
  maxWaitingShadow: number;
  /** A batch is closed at so many rows; a request is never split. */
  maxBatchRows: number;
}

export interface Ask {
  rows: InputRow[];
  /** From now; waiting and running together. */
  timeoutMs: number;
  /** A copy for the record: runs only when no caller waits. */
  shadow: boolean;
}

export interface Pending {
  answer: Promise<Prediction[]>;
  /** The caller left: takes the request out of the queue; a batch that runs is not stopped. */
  cancel(): void;
}

interface Request extends Ask {
  /** Of `performance.now()`, as all times here. */
  deadlineMs: number;
  crashes: number;
  settled: boolean;
  settle(result: RunResult): void;
  refuse(error: ServingError): void;
}

/**
 * What waits for one model. A free lane takes everything that waits as one batch, up to the row limit: no timer, so an
 * idle endpoint answers at once and a busy one gets larger batches by itself (Triton's default rule).
 */
export class ModelQueue {
  private readonly limits: QueueLimits;
  private readonly onBatch: (rows: number) => void;
  private readonly callers = new Set<Request>();
  private readonly shadows = new Set<Request>();
  /** Were in a batch when its process died. Each runs alone, so that one that kills it takes no other along. */
  private readonly retries = new Set<Request>();
  private readonly lanes = new Set<Lane>();
  private readonly idleLanes = new Set<Lane>();
  private readonly busyLanes = new Set<Lane>();
  private readonly idleWaiters: (() => void)[] = [];
  /** No lane serves it before; 0 when one may at any time. */
  private awayUntilMs = 0;

  constructor(limits: QueueLimits, onBatch: (rows: number) => void) {
    this.limits = limits;
    this.onBatch = onBatch;
  }

  get ready(): boolean {
    return this.lanes.size > 0;
  }
  get waiting(): number {
    return this.callers.size + this.retries.size;
  }
  get waitingShadow(): number {
    return this.shadows.size;
  }

  /**
   * Takes a request at once or throws: `Overloaded`, or `InferenceCrashed` when the model will not be back in time. The
   * answer rejects with a `ServingError`.
   */
  ask(ask: Ask): Pending {
    const deadlineMs = performance.now() + ask.timeoutMs;
    if (this.comesTooLate(deadlineMs)) throw this.away();
    const line = ask.shadow ? this.shadows : this.callers;
    if (line.size >= (ask.shadow ? this.limits.maxWaitingShadow : this.limits.maxWaiting))
      throw new ServingError(servingErrors.overloaded, `${line.size} requests wait already`);
    let cancel!: () => void;
    const answer = new Promise<Prediction[]>((resolve, reject) => {
      const timer = setTimeout(
        () => leave(servingErrors.deadlineExceeded, `no answer in ${ask.timeoutMs} ms`),
        ask.timeoutMs,
      );
      const request: Request = {
        ...ask,
        deadlineMs,
        crashes: 0,
        settled: false,
        settle: (result) => {
          if ('error' in result) return request.refuse(fromErrorMessage(result.error));
          request.settled = true;
          clearTimeout(timer);
          resolve(result.predictions);
        },
        refuse: (error) => {
          request.settled = true;
          clearTimeout(timer);
          reject(error);
        },
      };
      const leave = (type: 'DeadlineExceeded' | 'Cancelled', message: string): void => {
        for (const waiting of this.lines()) waiting.delete(request);
        request.settle({ error: { type, message } });
        this.noticeIdle();
      };
      cancel = () => leave(servingErrors.cancelled, 'the caller left');
      line.add(request);
    });
    this.dispatch();
    return { answer, cancel };
  }

  /** Nothing will serve it for so long: whoever cannot wait until then hears it now, not at the end of their time. */
  awayFor(delayMs: number): void {
    if (this.ready) return;
    this.awayUntilMs = performance.now() + delayMs;
    for (const line of this.lines())
      for (const request of line) {
        if (!this.comesTooLate(request.deadlineMs)) continue;
        line.delete(request);
        request.refuse(this.away());
      }
    this.noticeIdle();
  }

  attach(lane: Lane): void {
    this.awayUntilMs = 0;
    this.lanes.add(lane);
    this.idleLanes.add(lane);
    this.dispatch();
  }

  /** The lane gets no more batches and is shut when its last one is done. */
  detach(lane: Lane): void {
    if (!this.lanes.delete(lane)) return;
    if (this.idleLanes.delete(lane)) lane.shut();
  }

  detachAll(): void {
    for (const lane of [...this.lanes]) this.detach(lane);
  }

  /** Resolves when nothing waits and nothing runs. */
  async idle(): Promise<void> {
    if (!this.isIdle()) await new Promise<void>((resolve) => this.idleWaiters.push(resolve));
  }

  private dispatch(): void {
    for (const lane of this.idleLanes) {
      const batch = this.takeBatch();
      if (batch.length === 0) return;
      this.idleLanes.delete(lane);
      this.busyLanes.add(lane);
      void this.runBatch(lane, batch);
    }
  }

  private takeBatch(): Request[] {
    const [retry] = this.retries;
    if (retry) {
      this.retries.delete(retry);
      return [retry];
    }
    const batch: Request[] = [];
    let rows = 0;
    const line = this.callers.size > 0 ? this.callers : this.shadows;
    for (const request of line) {
      if (batch.length > 0 && rows + request.rows.length > this.limits.maxBatchRows) break;
      line.delete(request);
      batch.push(request);
      rows += request.rows.length;
    }
    return batch;
  }

  private async runBatch(lane: Lane, batch: Request[]): Promise<void> {
    this.onBatch(batch.reduce((rows, request) => rows + request.rows.length, 0));
    try {
      const results = await lane.run(batch.map(({ rows }) => rows));
      batch.forEach((request, index) => {
        request.settle(results[index]!);
      });
      this.busyLanes.delete(lane);
      if (this.lanes.has(lane)) this.idleLanes.add(lane);
      else lane.shut();
    } catch (error) {
      // The lane's process is gone, and with it the lane. Once more elsewhere, then the caller hears of it.
      this.busyLanes.delete(lane);
      this.lanes.delete(lane);
      for (const request of batch) {
        if (request.settled) continue;
        if (++request.crashes < 2) {
          if (this.comesTooLate(request.deadlineMs)) request.refuse(this.away());
          else this.retries.add(request);
        } else request.settle({ error: { type: servingErrors.inferenceCrashed, message: String(error) } });
      }
    }
    this.dispatch();
    this.noticeIdle();
  }

  private lines(): Set<Request>[] {
    return [this.callers, this.shadows, this.retries];
  }

  private comesTooLate(deadlineMs: number): boolean {
    return this.awayUntilMs > deadlineMs;
  }

  private away(): ServingError {
    const retryAfterMs = Math.round(this.awayUntilMs - performance.now());
    const message = `its process died again and again, the next one starts in ${retryAfterMs} ms`;
    return new ServingError(servingErrors.inferenceCrashed, message, { retryAfterMs });
  }

  private isIdle(): boolean {
    return this.callers.size + this.shadows.size + this.retries.size + this.busyLanes.size === 0;
  }

  private noticeIdle(): void {
    if (this.isIdle()) for (const resolve of this.idleWaiters.splice(0)) resolve();
  }
}
