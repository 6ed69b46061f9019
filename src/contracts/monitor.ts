import { z } from 'zod';
import { Digest as DigestSchema } from './digest.ts';

/** What the monitor remembers of a loop, one blob under the ref `loops/<loop>/monitor` (docs/monitoring.md). */
const Digest = DigestSchema.transform((d) => d as `sha256:${string}`);

const DriftReport = z.strictObject({
  window: z.number().int().positive(),
  alpha: z.number(),
  findings: z.array(
    z.strictObject({
      subject: z.string(),
      kind: z.enum(['numbers', 'categories', 'terms']),
      referenceRows: z.number().int(),
      liveRows: z.number().int(),
      psi: z.number(),
      jensenShannon: z.number(),
      distance: z.number(),
      p: z.number(),
      drifted: z.boolean(),
    }),
  ),
  reason: z.string().nullable(),
});

const BiasReport = z.strictObject({
  window: z.number().int().positive(),
  alpha: z.number(),
  findings: z.array(
    z.strictObject({
      feature: z.string(),
      measure: z.enum(['demographicParityDifference', 'equalOpportunityDifference', 'disparateImpactRatio']),
      estimate: z.number().nullable(),
      lower: z.number().nullable(),
      upper: z.number().nullable(),
      highest: z.string().nullable(),
      lowest: z.string().nullable(),
      tooSmall: z.array(z.string()),
      biased: z.boolean(),
    }),
  ),
  reason: z.string().nullable(),
});

/** Live answers of one champion: a window is compared with the first one, and with the last that has raised an alarm. */
export const AnswerWatch = z.strictObject({
  /** Digest of the Model manifest. */
  model: Digest,
  /** Behind the last window that was taken. */
  cursor: z.string(),
  /** Blob of an `AnswerSample`; null until the first window is full. */
  reference: Digest.nullable(),
  /** Windows that were compared with this reference. */
  windows: z.number().int().nonnegative(),
  drift: DriftReport.nullable(),
  /** Due until a cycle was opened after it: the loop's last cycle was `cycle` when it was raised. */
  alarm: z.strictObject({ reason: z.string(), cycle: z.number().int().nonnegative() }).nullable(),
});
export type AnswerWatch = z.infer<typeof AnswerWatch>;

export const AnswerSample = z.strictObject({
  labels: z.record(z.string(), z.number().int().positive()),
  scores: z.array(z.number()),
});
export type AnswerSample = z.infer<typeof AnswerSample>;

/** New rows against the accepted dataset that they are compared with. */
export const RowWatch = z.strictObject({
  dataset: Digest,
  drift: DriftReport.nullable(),
  bias: BiasReport.nullable(),
});
export type RowWatch = z.infer<typeof RowWatch>;

export const MonitorRecord = z.strictObject({
  schema: z.literal('goto3/monitor/v1'),
  loop: z.string(),
  rows: RowWatch.nullable(),
  answers: AnswerWatch.nullable(),
});
export type MonitorRecord = z.infer<typeof MonitorRecord>;
