import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { CanaryEvidence, VariantEvidence } from '../../stats/canary.ts';
import { emptyLatencyHistogram, recordLatency } from '../../stats/latency-histogram.ts';
import type { Store } from '../../store/types.ts';

/** Evidence of one step: what candidate and current answered under one generation, from the endpoint's captures. */
export class StepEvidence {
  readonly candidate: VariantEvidence = { requests: 0, errors: 0, latency: emptyLatencyHistogram() };
  readonly stable: VariantEvidence = { requests: 0, errors: 0, latency: emptyLatencyHistogram() };
  background = 0;
  private readonly generation: number;
  private readonly models: { candidate: string; current: string };

  constructor(generation: number, models: { candidate: string; current: string }) {
    this.generation = generation;
    this.models = models;
  }

  add(record: CaptureRecord): void {
    if (record.generation !== this.generation || record.shadow) return;
    const variant =
      record.model === this.models.candidate
        ? this.candidate
        : record.model === this.models.current
          ? this.stable
          : undefined;
    if (!variant) return;
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
  async readOn(store: Store, endpoint: string, cursor: string): Promise<string> {
    let next = cursor;
    while (true) {
      const page = await store.captures.read(endpoint, next);
      for (const record of page.records) this.add(record);
      if (page.records.length === 0) return page.cursor;
      next = page.cursor;
    }
  }
}
