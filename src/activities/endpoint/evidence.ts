import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { CanaryEvidence, VariantEvidence } from '../../stats/canary.ts';
import { emptyLatencyHistogram, recordLatency } from '../../stats/latency-histogram.ts';
import type { Store } from '../../store/types.ts';

/** Evidence of one step: what candidate and current answered under one generation, from the endpoint's captures. */
export class StepEvidence {
  readonly candidate: VariantEvidence = { requests: 0, errors: 0, latency: emptyLatencyHistogram() };
  readonly stable: VariantEvidence = { requests: 0, errors: 0, latency: emptyLatencyHistogram() };
  private background = 0;
  private readonly seen = new RecentKeys();
  private readonly generation: number;
  private readonly models: { candidate: string; current: string };

  constructor(generation: number, models: { candidate: string; current: string }) {
    this.generation = generation;
    this.models = models;
  }

  add(record: CaptureRecord): void {
    const variant = this.variantOf(record);
    if (!variant) return;
    // A replica whose append lost its reply writes the records again.
    if (this.seen.hasOrAdd(`${record.timeMs} ${record.variant} ${record.inferenceId}`)) return;
    variant.requests += 1;
    if (record.background) this.background += 1;
    if (record.answer) recordLatency(variant.latency, record.latencyMs);
    else variant.errors += 1;
  }

  get evidence(): CanaryEvidence {
    return { candidate: this.candidate, stable: this.stable };
  }

  get backgroundShare(): number {
    const requests = this.candidate.requests + this.stable.requests;
    return requests === 0 ? 0 : this.background / requests;
  }

  /** Reads on from the cursor; returns the next one. */
  async readOn(store: Pick<Store, 'captures'>, endpoint: string, cursor: string): Promise<string> {
    let next = cursor;
    while (true) {
      const page = await store.captures.read(endpoint, next);
      if (page.records.length === 0) return page.cursor;
      for (const record of page.records) this.add(record);
      next = page.cursor;
    }
  }

  private variantOf({ generation, shadow, model }: CaptureRecord): VariantEvidence | undefined {
    if (generation !== this.generation || shadow) return undefined;
    if (model === this.models.candidate) return this.candidate;
    return model === this.models.current ? this.stable : undefined;
  }
}

/** Doubled records come within one append of each other, so the last ones are enough, however long a step takes. */
class RecentKeys {
  private static readonly most = 20_000;
  private newer = new Set<string>();
  private older = new Set<string>();

  hasOrAdd(key: string): boolean {
    if (this.newer.has(key) || this.older.has(key)) return true;
    if (this.newer.size >= RecentKeys.most) {
      this.older = this.newer;
      this.newer = new Set();
    }
    this.newer.add(key);
    return false;
  }
}
