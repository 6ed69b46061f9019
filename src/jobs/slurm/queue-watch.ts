import { phaseOf } from './states.ts';
import { anyTask, type SlurmJob, type SlurmTransport, wholeId } from './transport.ts';

/** What the cluster says about one job, and for how long it has said so, by this process's monotonic clock. */
export type QueueWord =
  | { kind: 'job'; job: SlurmJob; forMs: number }
  /** The cluster answered, and neither queue nor accounting has it. */
  | { kind: 'absent'; forMs: number }
  /** The cluster has not answered since the question came up. */
  | { kind: 'silent'; why: string };

interface Interest {
  name: string;
  askedAtMs: number;
  said: string | undefined;
  job: SlurmJob | undefined;
  sinceMs: number;
  /** Of the newest answer. */
  answeredAtMs: number | undefined;
}

/** A job that nobody has asked about for so long is forgotten: a wrapper that renews makes the question pointless. */
const forgottenAfterMs = 15_000;
const slowDown = 1.5;
/** A cluster without accounts is asked again so often, in case somebody switched them on. */
const accountsAgainMs = 600_000;

/**
 * One batched look at the cluster for all jobs that need its word, however many there are: every `fromMs` after something
 * has changed, ever more seldom down to every `toMs` while nothing does, and never while nobody asks.
 */
export class QueueWatch {
  readonly #transport: SlurmTransport;
  readonly #fromMs: number;
  readonly #toMs: number;
  readonly #interests = new Map<string, Interest>();
  #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = 0;
  #looking: Promise<void> | undefined;
  #lastLookMs = Number.NEGATIVE_INFINITY;
  #problem = 'it was not asked yet';
  #noAccountsUntilMs = 0;
  #running: Promise<SlurmJob[]> | undefined;
  #next: Promise<SlurmJob[]> | undefined;

  constructor(transport: SlurmTransport, { fromMs, toMs }: { fromMs: number; toMs: number }) {
    this.#transport = transport;
    this.#fromMs = fromMs;
    this.#toMs = toMs;
    this.#intervalMs = fromMs;
  }

  /** Answers from memory, at once; the first question about a job makes the next look come soon. */
  wordOn(id: string, name: string): QueueWord {
    const now = performance.now();
    const interest = this.#interests.get(id);
    if (!interest) {
      this.#interests.set(id, {
        name,
        askedAtMs: now,
        said: undefined,
        job: undefined,
        sinceMs: now,
        answeredAtMs: undefined,
      });
      this.#hurry();
      return { kind: 'silent', why: this.#problem };
    }
    interest.askedAtMs = now;
    this.#schedule(this.#intervalMs);
    if (interest.answeredAtMs === undefined) return { kind: 'silent', why: this.#problem };
    // Only an answer makes time pass: what the cluster said before it fell silent may no longer hold.
    const forMs = interest.answeredAtMs - interest.sinceMs;
    return interest.job ? { kind: 'job', job: interest.job, forMs } : { kind: 'absent', forMs };
  }

  /** Every job of this name that the cluster knows. Throws `ClusterUnavailable`. */
  async find(name: string, sinceMs: number): Promise<SlurmJob[]> {
    const inQueue = (await this.#fresh()).filter((job) => job.name === name);
    if (inQueue.length > 0) return inQueue;
    return (await this.#accounts({ name, sinceMs })) ?? [];
  }

  #hurry(): void {
    this.#intervalMs = this.#fromMs;
    this.#schedule(Math.max(0, this.#lastLookMs + this.#fromMs - performance.now()));
  }

  #schedule(inMs: number): void {
    if (this.#looking) return;
    const dueMs = performance.now() + inMs;
    if (this.#timer && this.#timerDueMs <= dueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
        if (this.#interests.size > 0) this.#schedule(this.#intervalMs);
      });
    }, inMs);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const now = performance.now();
    for (const [id, { askedAtMs }] of this.#interests)
      if (now - askedAtMs > forgottenAfterMs) this.#interests.delete(id);
    if (this.#interests.size === 0) return;
    this.#lastLookMs = now;
    try {
      const asked = [...this.#interests];
      const jobs = new Map((await this.#fresh()).map((job) => [job.id, job]));
      for (const [id] of asked) {
        const waiting = jobs.get(id) ?? jobs.get(anyTask(wholeId(id)));
        if (waiting) jobs.set(id, waiting);
      }
      const missing = asked.filter(([id, { name }]) => jobs.get(id)?.name !== name).map(([id]) => id);
      const accounts = missing.length > 0 ? ((await this.#accounts({ ids: missing })) ?? []) : [];
      for (const job of accounts) if (missing.includes(job.id)) jobs.set(job.id, job);
      const changed = asked.map(([id, interest]) => note(interest, jobs.get(id)));
      this.#intervalMs = changed.includes(true) ? this.#fromMs : Math.min(this.#toMs, this.#intervalMs * slowDown);
    } catch (error) {
      this.#problem = (error as Error).message;
      this.#intervalMs = Math.min(this.#toMs, this.#intervalMs * slowDown);
    }
  }

  async #accounts(which: Parameters<SlurmTransport['accounting']>[0]): Promise<SlurmJob[] | undefined> {
    if (performance.now() < this.#noAccountsUntilMs) return undefined;
    const jobs = await this.#transport.accounting(which);
    if (!jobs) this.#noAccountsUntilMs = performance.now() + accountsAgainMs;
    return jobs;
  }

  /** The queue as of after this call; calls that come while one look is under way share the next one. */
  #fresh(): Promise<SlurmJob[]> {
    if (!this.#running) return this.#start();
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  #start(): Promise<SlurmJob[]> {
    const running = this.#transport.queue().finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }
}

/** Takes an answer into an interest; true when it is news. An id may be used again by another job: its name tells. */
function note(interest: Interest, job: SlurmJob | undefined): boolean {
  const now = performance.now();
  const mine = job?.name === interest.name ? job : undefined;
  const said = mine ? `${phaseOf(mine.states)} ${mine.states.join(' ')}` : 'absent';
  const news = said !== interest.said;
  interest.said = said;
  interest.job = mine;
  if (news) interest.sinceMs = now;
  interest.answeredAtMs = now;
  return news;
}
