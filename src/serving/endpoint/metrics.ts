import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Series of so many variant and model pairs are kept; of models that came and went long ago they are dropped. */
const maxPairs = 32;

interface Pair {
  variant: string;
  model: string;
  /** Of callers and of shadows. */
  answers: [callers?: Counter.Internal, shadows?: Counter.Internal];
  latency?: Histogram.Internal<'variant' | 'model'>;
}
const labelsOf = ({ variant, model }: Pair): { variant: string; model: string } => ({ variant, model });

/**
 * What Prometheus sees; for dashboards only, decisions rest on captures. Labels come from the desired state, never from
 * callers, and their number is bounded.
 */
export class EndpointMetrics {
  readonly registry = new Registry();
  private readonly pairs = new Map<string, Pair>();
  private readonly requests = this.counter('requests_total', 'Answers by variant', ['variant', 'model', 'shadow']);
  private readonly errors = this.counter('errors_total', 'Failed answers by variant', ['variant', 'model', 'type']);
  private readonly errorAnswers = this.counter('error_answers_total', 'Requests answered with an error', ['status']);
  private readonly shadowDrops = this.counter('shadow_dropped_total', 'Copies that no shadow answered', [
    'variant',
    'model',
  ]);
  private readonly latency = new Histogram({
    name: 'goto3_endpoint_latency_seconds',
    help: 'From the parsed request to its answer',
    labelNames: ['variant', 'model'] as const,
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  });
  private readonly batchRows = new Histogram({
    name: 'goto3_endpoint_batch_rows',
    help: 'Rows of one run of a model',
    labelNames: ['model'] as const,
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024],
    registers: [this.registry],
  });

  /** Values that are read when somebody looks. */
  watch(read: {
    queues: () => { model: string; waiting: number; waitingShadow: number }[];
    captures: () => { written: number; dropped: number; failedAppends: number; pending: number };
    inference: () => { crashes: number; replacements: number };
    generation: () => number;
  }): void {
    const gauge = <T extends string>(name: string, help: string, labelNames: T[], collect: (gauge: Gauge<T>) => void) =>
      new Gauge({
        name: `goto3_endpoint_${name}`,
        help,
        labelNames,
        registers: [this.registry],
        collect() {
          this.reset();
          collect(this);
        },
      });
    gauge('queue_length', 'Requests that wait', ['model', 'kind'], (length) => {
      for (const { model, waiting, waitingShadow } of read.queues()) {
        length.set({ model: short(model), kind: 'caller' }, waiting);
        length.set({ model: short(model), kind: 'shadow' }, waitingShadow);
      }
    });
    gauge('captures', 'Evidence records since the start', ['state'], (captures) => {
      for (const [state, value] of Object.entries(read.captures())) captures.set({ state }, value);
    });
    gauge('inference_processes', 'Crashes and replacements since the start', ['event'], (processes) => {
      // The pool's status says more, and not all of it is a number.
      const { crashes, replacements } = read.inference();
      processes.set({ event: 'crashes' }, crashes);
      processes.set({ event: 'replacements' }, replacements);
    });
    gauge('generation', 'Generation that takes traffic', [], (generation) => generation.set(read.generation()));
  }

  answered(variant: string, model: string, shadow: boolean, latencyMs: number): void {
    const pair = this.pair(variant, model);
    // Bound to their labels once: checking and hashing them would cost more than the counting.
    pair.answers[Number(shadow)] ??= this.requests.labels({ ...labelsOf(pair), shadow: String(shadow) });
    pair.answers[Number(shadow)]!.inc();
    pair.latency ??= this.latency.labels(labelsOf(pair));
    pair.latency.observe(latencyMs / 1_000);
  }
  failed(variant: string, model: string, type: string): void {
    this.errors.inc({ ...labelsOf(this.pair(variant, model)), type });
  }
  answeredWithError(status: number): void {
    this.errorAnswers.inc({ status: String(status) });
  }
  shadowDropped(variant: string, model: string): void {
    this.shadowDrops.inc(labelsOf(this.pair(variant, model)));
  }
  batch(model: string, rows: number): void {
    this.batchRows.observe({ model: short(model) }, rows);
  }

  private pair(variant: string, model: string): Pair {
    const key = `${variant} ${model}`;
    let pair = this.pairs.get(key);
    if (!pair) {
      pair = { variant, model: short(model), answers: [] };
      this.pairs.set(key, pair);
      if (this.pairs.size > maxPairs) this.forgetOldest();
    }
    return pair;
  }

  private forgetOldest(): void {
    const [key, oldest] = this.pairs.entries().next().value!;
    this.pairs.delete(key);
    const matches = (labels: Partial<Record<string, string | number>>): boolean =>
      labels.model === oldest.model && (labels.variant === undefined || labels.variant === oldest.variant);
    const others = [...this.pairs.values()].some(({ model }) => model === oldest.model);
    if (!others) this.batchRows.remove({ model: oldest.model });
    this.latency.remove(labelsOf(oldest));
    void this.dropSeries(matches);
  }

  private async dropSeries(matches: (labels: Partial<Record<string, string | number>>) => boolean): Promise<void> {
    for (const counter of [this.requests, this.errors, this.shadowDrops]) {
      const { values } = await counter.get();
      for (const { labels } of values) if (matches(labels)) counter.remove(labels as Record<string, string>);
    }
  }

  private counter<T extends string>(name: string, help: string, labelNames: T[]): Counter<T> {
    return new Counter({ name: `goto3_endpoint_${name}`, help, labelNames, registers: [this.registry] });
  }
}

/** Enough of the digest to tell models apart. */
const short = (digest: string): string => digest.slice('sha256:'.length, 'sha256:'.length + 12);
