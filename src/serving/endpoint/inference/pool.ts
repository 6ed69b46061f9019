import type { Digest } from '../../../contracts/digest.ts';
import type { InferenceStatus } from '../../../contracts/endpoint.ts';
import { ServingError, servingErrors } from '../../errors.ts';
import type { Log } from '../log.ts';
import { CrashRecord } from './crash-record.ts';
import { ModelQueue, type QueueLimits } from './model-queue.ts';
import { ModelUnavailable } from './model-unavailable.ts';
import { InferenceProcess, type InferenceProcessOptions, type Lane } from './process.ts';
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
}

/** Between tries to bring back a model that has lost its process. */
const reviveRetryMs = 30_000;

/**
 * Models in memory: one queue per model, served by threads of one inference process. The process is replaced after so
 * many loads and after a crash; queues outlive it, so that neither fails a request.
 */
export class InferencePool {
  private readonly options: PoolOptions;
  private readonly folderOf: (model: Digest) => Promise<string>;
  private readonly events: PoolEvents;
  private readonly log: Log;
  private readonly models = new Map<Digest, Model>();
  private current: { process: InferenceProcess; swaps: number } | undefined;
  private readonly processes = new Set<InferenceProcess>();
  /** Have a successor; they end when their last model is retired. */
  private readonly replaced = new Set<InferenceProcess>();
  /** Loading, replacing and restarting happen one at a time. */
  private readonly changes = new SerialWork();
  private readonly crashes = new CrashRecord();
  private replacements = 0;
  private restartTimer: NodeJS.Timeout | undefined;
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
    return { pid: this.current?.process.pid ?? null, replacements: this.replacements, ...this.crashes.status() };
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
      if (stillMissing.length === 0) return;
      if (!this.current) await this.startProcess(models);
      else if (this.current.swaps + stillMissing.length > this.options.swapsPerProcess)
        await this.replaceProcess(models);
      else await this.loadInto(this.current.process, stillMissing);
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
    this.endReplacedProcesses();
  }

  /** Resolves when no request waits or runs. */
  async idle(): Promise<void> {
    await Promise.all([...this.models.values()].map(({ queue }) => queue.idle()));
  }

  /** Callers that still wait get `InferenceCrashed`; drain first. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.restartTimer);
    for (const process of this.processes) process.kill('the endpoint is closing');
    await Promise.all([...this.processes].map((process) => process.ended));
    await this.changes.run(async () => {});
  }

  private async startProcess(models: readonly Digest[]): Promise<void> {
    const process = this.spawn();
    try {
      await this.load(process, models);
      this.current = { process, swaps: 0 };
    } catch (error) {
      process.kill('its first model does not load');
      throw error;
    }
  }

  /** A new process takes the models over; the old one ends when its last requests are answered. */
  private async replaceProcess(models: readonly Digest[]): Promise<void> {
    const old = this.current!.process;
    await this.startProcess(models);
    this.replacements++;
    this.replaced.add(old);
    for (const digest of models) this.removeLanes(this.models.get(digest)!, old);
    this.endReplacedProcesses();
    this.log.info({ pid: this.current?.process.pid, replacements: this.replacements }, 'inference process replaced');
  }

  private async loadInto(process: InferenceProcess, models: readonly Digest[]): Promise<void> {
    await this.load(process, models);
    if (this.current?.process === process) this.current.swaps += models.length;
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
      return unavailable(digest, error);
    }
  }

  private addLanes(digest: Digest, process: InferenceProcess, lanes: Lane[]): void {
    let model = this.models.get(digest);
    if (!model) {
      const queue = new ModelQueue(this.options, (rows) => this.events.batch(digest, rows));
      model = { queue, lanes: new Map(), retiring: false };
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
    const process = new InferenceProcess(this.options);
    this.processes.add(process);
    void process.ended.then((reason) => {
      this.processes.delete(process);
      this.replaced.delete(process);
      const served = [...this.models.values()].some(({ lanes }) => lanes.has(process));
      for (const model of this.models.values()) this.removeLanes(model, process);
      if (this.current?.process === process) this.current = undefined;
      else if (!served) return;
      if (this.closed) return;
      this.log.error({ reason }, 'inference process died, starting another one');
      this.restartIn(this.crashes.add(reason, performance.now() - startedAt));
    });
    return process;
  }

  private restartIn(delayMs: number): void {
    clearTimeout(this.restartTimer);
    const revive = async (): Promise<void> => {
      try {
        await this.changes.run(() => this.reviveModels());
      } catch (error) {
        // The system refused another process: no handles, no memory.
        this.log.error({ error: String(error) }, 'cannot start an inference process');
        this.restartIn(reviveRetryMs);
      }
    };
    this.restartTimer = setTimeout(() => void revive(), delayMs);
  }

  /** Brings back whatever has lost its lanes; a model that does not come back does not keep the others away. */
  private async reviveModels(): Promise<void> {
    if (this.closed) return;
    const lost = [...this.models].filter(([, { queue }]) => !queue.ready).map(([digest]) => digest);
    if (lost.length === 0) return;
    this.current ??= { process: this.spawn(), swaps: 0 };
    const { process } = this.current;
    const failed: Digest[] = [];
    for (const digest of lost) {
      try {
        await this.load(process, [digest]);
      } catch (error) {
        failed.push(digest);
        this.log.error({ digest, error: String(error) }, 'model does not come back after a crash');
      }
    }
    // When the process itself died, its end has scheduled the next attempt already.
    if (failed.length > 0 && this.current?.process === process) this.restartIn(reviveRetryMs);
  }

  private endReplacedProcesses(): void {
    for (const process of this.replaced) {
      const serves = [...this.models.values()].some(({ lanes }) => lanes.has(process));
      if (!serves) process.close('it was replaced');
    }
  }
}

function unavailable(model: Digest, cause: unknown): never {
  throw new ModelUnavailable(model, cause);
}
