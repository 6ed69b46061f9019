import { z } from 'zod';
import type { CyclePlan } from '../../contracts/activities.ts';
import { type Digest, Digest as DigestSchema } from '../../contracts/digest.ts';
import { type Arithmetic, instructionSets, whyVerdictDoesNotCount } from '../../onnx/quantize/instruction-set.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { pin, pinned } from '../pins.ts';

/**
 * What a search remembers between its trials: each is written and pinned before the next begins, so a worker that is
 * killed loses one trial at most, wherever the activity goes on.
 */
const share = z.number().nullable();
const figures = { quality: share, loss: share, lossUpper: share, sizeBytes: z.number(), latencyMs: z.number() };
const digest = DigestSchema.transform((d) => d as Digest);
const arithmetic = z.strictObject({
  instructionSet: z.enum(instructionSets),
  weightBits: z.union([z.literal(7), z.literal(8)]),
  x64QuantPrecision: z.boolean(),
});

export const FloatRecord = z.strictObject({
  schema: z.literal('goto3/quantize-float/v1'),
  quality: share,
  sizeBytes: z.number(),
  latencyMs: z.number(),
  /** Per-row outcomes of the float model, JSONL of `RowOutcome`. */
  outcomes: digest,
});
export const RankingRecord = z.strictObject({
  schema: z.literal('goto3/quantize-ranking/v1'),
  layers: z.array(z.strictObject({ nodes: z.array(z.string()), weights: z.array(z.string()), sqnrDb: share })),
});
export type RankingRecord = z.infer<typeof RankingRecord>;

export const TrialRecord = z.strictObject({
  schema: z.literal('goto3/quantize-trial/v1'),
  arithmetic,
  trial: z.strictObject({ keptFloat: z.number().int().nonnegative(), holds: z.boolean(), ...figures }),
});
export type TrialRecord = z.infer<typeof TrialRecord>;

export const QuantizationReport = z.strictObject({
  schema: z.literal('goto3/quantization-report/v1'),
  model: digest,
  /** With which the trials were measured. */
  arithmetic,
  rows: z.number().int().nonnegative(),
  margin: z.number(),
  holds: z.boolean(),
  keptFloat: z.array(z.string()),
  float: FloatRecord.omit({ schema: true }),
  layers: RankingRecord.shape.layers.nullable(),
  trials: z.array(TrialRecord.shape.trial),
  /** On the front of quality, size and latency: `float`, or how many layers stay float. */
  front: z.array(z.union([z.literal('float'), z.number()])),
});
export type QuantizationReport = z.infer<typeof QuantizationReport>;

export class SearchRecords {
  private readonly store: Store;
  private readonly plan: CyclePlan;
  /** Names the model and the rows: a retrained model is searched anew. */
  private readonly of: string;

  constructor(store: Store, plan: CyclePlan, of: string) {
    this.store = store;
    this.plan = plan;
    this.of = of;
  }

  /** The record of that name, or what `make` gives, which is kept before this returns. */
  async once<S extends z.ZodType>(what: string, schema: S, make: () => Promise<z.output<S>>): Promise<z.output<S>> {
    return (await this.read(what, schema)) ?? (await this.write(what, schema, await make()));
  }

  /**
   * The trials so far, in the order in which they were made. One that was measured with other instructions, whose
   * integer sums are other numbers, does not count: it is made again here.
   */
  async trials(here: Arithmetic): Promise<{ trials: TrialRecord['trial'][]; refused: string[] }> {
    const trials: TrialRecord['trial'][] = [];
    const refused: string[] = [];
    for (let i = 0; ; i++) {
      const record = await this.read(`trial ${i}`, TrialRecord);
      const why = record && whyVerdictDoesNotCount(record.arithmetic, here);
      if (why !== undefined) refused.push(why);
      if (record === undefined || why !== undefined) return { trials, refused };
      trials.push(record.trial);
    }
  }

  async keepTrial(index: number, record: TrialRecord): Promise<void> {
    await this.write(`trial ${index}`, TrialRecord, record);
  }

  private async read<S extends z.ZodType>(what: string, schema: S): Promise<z.output<S> | undefined> {
    const found = await pinned(this.store, this.plan, `int8 ${what} of ${this.of}`);
    return found && (await getJson(this.store, schema, found));
  }

  private async write<S extends z.ZodType>(what: string, schema: S, value: z.output<S>): Promise<z.output<S>> {
    await pin(this.store, this.plan, `int8 ${what} of ${this.of}`, await putJson(this.store, schema, value));
    return value;
  }
}
