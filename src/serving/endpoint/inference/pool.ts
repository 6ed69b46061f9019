import type { Digest } from '../../../contracts/digest.ts';
import type { InferenceStatus } from '../../../contracts/endpoint.ts';
import { ServingError, servingErrors } from '../../errors.ts';
import type { Log } from '../log.ts';
import { Backoff, CrashRecord } from './crash-record.ts';
import { ModelQueue, type QueueLimits } from './model-queue.ts';
import { ModelUnavailable } from './model-unavailable.ts';
import { InferenceProcess, type InferenceProcessOptions, type Lane, type ProcessEnd } from './process.ts';
import { SerialWork } from './serial-work.ts';

export interface PoolOptions extends InferenceProcessOptions, QueueLimits {
  /** Threads, each with its own session, per model. */
  threadsPerModel: number;
  /** Models loaded into a running process before it is replaced: sessions that come and go leak memory (onnxruntime #25325). */
  swapsPerProcess: number;
}

export interface PoolEvents {
  batch(model: Digest, rows: number): void;
}

interface Model {
  queue: ModelQueue;
  lanes: Map<InferenceProcess, Lane[]>;
  retiring: boolean;
  /** Between tries to bring it back. */
  backoff: Backoff;
}

/**
 * Models in memory: one queue per model, served by threads of one inference process. The process is replaced after so
 * many loads, when it has grown by too much, and after a crash; queues outlive it, so that none of it fails a request.
 * A model that was at work when its process died comes back in a process of its own: if it dies again, it dies alone.
 */
export class InferencePool {
  private readonly options: PoolOptions;
  private readonly folderOf: (model: Digest) => Promise<string>;
  private readonly events: PoolEvents;
  private readonly log: Log;
  private readonly models = new Map<Digest, Model>();
  /** The one that models share. */
  private current: { process: InferenceProcess; swaps: number } | undefined;
  private readonly processes = new Set<InferenceProcess>();
  /** Take no new models; they end when their last one is retired. */
  private readonly closing = new Set<InferenceProcess>();
  /** Were at work, or being loaded, when a process died. */
  private readonly suspects = new Set<Digest>();
  /** Loading, replacing and restarting happen one at a time. */
  private readonly changes = new SerialWork();
  private readonly crashes = new CrashRecord();
  private replacements = 0;
  private readonly restarts = new Set<NodeJS.Timeout>();
  private closed = false;

  /** @param folderOf the verified folder of a model; asked again whenever a process has to load it. */
  constructor(options: PoolOptions, folderOf: (model: Digest) => Promise<string>, events: PoolEvents, log: Log) {
    this.options = options;
    this.folderOf = folderOf;
    this.events = events;
    this.log = log;
  }

  queueOf(model: Digest): ModelQueue | undefined {
    return this.models.get(model)?.queue;
  }
  isReady(model: Digest): boolean {
    return this.models.get(model)?.queue.ready === true;
  }
  queues(): { model: Digest; queue: ModelQueue }[] {
    return [...this.models].map(([model, { queue }]) => ({ model, queue }));
  }
  status(): InferenceStatus {
    // When every model has one of its own, the one that has lived longest.
    const process = this.current?.process ?? [...this.processes][0];
    return { pid: process?.pid ?? null, replacements: this.replacements, ...this.crashes.status() };
  }

  /**
   * Makes models ready; those that are ready already cost nothing, not even waiting for another load. What cannot be
   * loaded leaves everything as it was.
   * @throws ModelUnavailable
   */
  async prepare(models: readonly Digest[]): Promise<void> {
    for (const model of models) {
      const known = this.models.get(model);
      if (known) known.retiring = false;
    }
    const missing = models.filter((model) => !this.isReady(model));
    if (missing.length === 0) return;
    // Downloads come before the queue of changes, so that a slow one holds up no other generation.
    for (const model of missing) await this.folderOf(model).catch((error) => unavailable(model, error));
    await this.changes.run(async () => {
      const stillMissing = models.filter((model) => !this.isReady(model));
      const shared = (model: Digest): boolean => !this.suspects.has(model);
      await this.prepareShared(stillMissing.filter(shared), models.filter(shared));
      for (const model of stillMissing) if (!shared(model)) await this.loadApart(model);
    });
  }

  /** Unloads every other model once its last request is answered. */
  async retireAllBut(keep: ReadonlySet<Digest>): Promise<void> {
    const leaving = [...this.models].filter(([digest]) => !keep.has(digest));
    for (const [, model] of leaving) model.retiring = true;
    await Promise.all(
      leaving.map(async ([digest, model]) => {
        await model.queue.idle();
        if (!model.retiring || this.models.get(digest) !== model) return;
        this.models.delete(digest);
        model.queue.detachAll();
        model.lanes.clear();
      }),
    );
    for (const digest of this.suspects) if (!keep.has(digest) && !this.models.has(digest)) this.suspects.delete(digest);
    this.endWhatServesNothing();
  }

  /** Resolves when no request waits or runs. */
  async idle(): Promise<void> {
    await Promise.all([...this.models.values()].map(({ queue }) => queue.idle()));
  }

  /** Callers that still wait get `InferenceCrashed`; drain first. */
  async close(): Promise<void> {
    this.closed = true;
    for (const timer of this.restarts) clearTimeout(timer);
    for (const process of this.processes) process.kill('the endpoint is closing');
    await Promise.all([...this.processes].map((process) => process.ended));
    await this.changes.run(async () => {});
  }

  /** @param all what the shared process serves then */
  private async prepareShared(missing: readonly Digest[], all: readonly Digest[]): Promise<void> {
    if (missing.length === 0) return;
    if (!this.current) await this.startShared(all);
    else if (this.current.swaps + missing.length > this.options.swapsPerProcess)
      await this.replace(this.current.process, all, 'so many models were loaded');
    else {
      const { process } = this.current;
      await this.load(process, missing);
      if (this.current?.process === process) this.current.swaps += missing.length;
    }
  }

  private async startShared(models: readonly Digest[]): Promise<void> {
    this.current = { process: await this.loadIntoNew(models), swaps: 0 };
  }

  private async loadApart(model: Digest): Promise<void> {
    this.closing.add(await this.loadIntoNew([model]));
  }

  private async loadIntoNew(models: readonly Digest[]): Promise<InferenceProcess> {
    const process = this.spawn();
    try {
      await this.load(process, models);
      return process;
    } catch (error) {
      process.kill('its first model does not load');
      throw error;
    }
  }

  /** A new process takes the models over; the old one ends when its last requests are answered. */
  private async replace(old: InferenceProcess, models: readonly Digest[], reason: string): Promise<void> {
    if (old === this.current?.process) await this.startShared(models);
    else for (const model of models) await this.loadApart(model);
    this.replacements++;
    this.closing.add(old);
    for (const model of models) this.removeLanes(this.models.get(model)!, old);
    this.endWhatServesNothing();
    this.log.info({ reason, pid: old.pid, replacements: this.replacements }, 'inference process replaced');
  }

  /** What leaks is given back by the end of its process. */
  private async relieve(process: InferenceProcess): Promise<void> {
    const models = [...this.models].filter(([, { lanes, retiring }]) => lanes.has(process) && !retiring);
    if (this.closed || models.length === 0) return;
    const digests = models.map(([digest]) => digest);
    await this.replace(
      process,
      digests,
      `it took ${this.options.mostGrowthBytes} bytes more than with its models loaded`,
    );
  }

  /** All or nothing: lanes join their queues when every model of the list has loaded. */
  private async load(process: InferenceProcess, models: readonly Digest[]): Promise<void> {
    const threads = models.flatMap((digest) => Array.from({ length: this.options.threadsPerModel }, () => digest));
    const opened = await Promise.allSettled(threads.map((digest) => this.openLane(process, digest)));
    const lanes = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const failure = opened.find((result) => result.status === 'rejected');
    if (failure) {
      for (const { lane } of lanes) lane.shut();
      throw failure.reason;
    }
    for (const digest of models) {
      const own = lanes.filter((entry) => entry.digest === digest).map(({ lane }) => lane);
      this.addLanes(digest, process, own);
    }
  }

  private async openLane(process: InferenceProcess, digest: Digest): Promise<{ digest: Digest; lane: Lane }> {
    try {
      return { digest, lane: await process.open(await this.folderOf(digest)) };
    } catch (error) {
      if (error instanceof ServingError && error.type === servingErrors.inferenceCrashed) this.suspects.add(digest);
      return unavailable(digest, error);
    }
  }

  private addLanes(digest: Digest, process: InferenceProcess, lanes: Lane[]): void {
    let model = this.models.get(digest);
    if (!model) {
      const queue = new ModelQueue(this.options, (rows) => this.events.batch(digest, rows));
      model = { queue, lanes: new Map(), retiring: false, backoff: new Backoff() };
      this.models.set(digest, model);
    }
    model.lanes.set(process, lanes);
    for (const lane of lanes) model.queue.attach(lane);
  }

  private removeLanes(model: Model, process: InferenceProcess): void {
    for (const lane of model.lanes.get(process) ?? []) model.queue.detach(lane);
    model.lanes.delete(process);
  }

  private spawn(): InferenceProcess {
    if (this.closed) throw new ServingError(servingErrors.inferenceCrashed, 'the endpoint is closing');
    const startedAt = performance.now();
    let isRelieved = false;
    const process = new InferenceProcess(this.options, () => {
      if (isRelieved) return;
      isRelieved = true;
      this.changes
        .run(() => this.relieve(process))
        .catch((error: unknown) => {
          this.log.error({ error: String(error) }, 'cannot replace an inference process that grows');
          isRelieved = false;
        });
    });
    this.processes.add(process);
    void process.ended.then((end) => this.survive(process, end, performance.now() - startedAt));
    return process;
  }

  /** Whatever the process served is brought back, at first at once. */
  private survive(process: InferenceProcess, { reason, running }: ProcessEnd, livedMs: number): void {
    this.processes.delete(process);
    this.closing.delete(process);
    const isCurrent = this.current?.process === process;
    if (isCurrent) this.current = undefined;
    const lost = [...this.models].filter(([, { lanes }]) => lanes.has(process));
    // One that had the process for itself has nobody to be kept from.
    if (lost.length > 1)
      for (const [digest, { lanes }] of lost)
        if (lanes.get(process)!.some((lane) => running.has(lane))) this.suspects.add(digest);
    for (const [, model] of lost) this.removeLanes(model, process);
    if (this.closed || !(isCurrent || lost.length > 0)) return;
    this.crashes.add(reason);
    const apart = lost.map(([digest]) => digest).filter((digest) => this.suspects.has(digest));
    this.log.error({ reason, apart }, 'inference process died, starting another one');
    for (const [digest, { backoff }] of lost) this.reviveIn(digest, backoff.next(livedMs));
  }

  private reviveIn(digest: Digest, delayMs: number): void {
    this.models.get(digest)?.queue.awayFor(delayMs);
    const timer = setTimeout(() => {
      this.restarts.delete(timer);
      void this.changes.run(() => this.revive(digest));
    }, delayMs);
    this.restarts.add(timer);
  }

  /** A model that does not come back does not keep the others away. */
  private async revive(digest: Digest): Promise<void> {
    const model = this.models.get(digest);
    if (this.closed || !model || model.queue.ready) return;
    try {
      if (this.suspects.has(digest)) await this.loadApart(digest);
      else await this.prepareShared([digest], [digest]);
    } catch (error) {
      this.log.error({ digest, error: String(error) }, 'model does not come back after a crash');
      this.reviveIn(digest, model.backoff.next(0));
    }
  }

  private endWhatServesNothing(): void {
    for (const process of this.closing) {
      const serves = [...this.models.values()].some(({ lanes }) => lanes.has(process));
      if (!serves) process.close('it serves nothing any more');
    }
  }
}

function unavailable(model: Digest, cause: unknown): never {
  throw new ModelUnavailable(model, cause);
}
