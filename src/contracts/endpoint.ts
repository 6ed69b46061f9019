import { z } from 'zod';
import { Digest } from './digest.ts';

/** What an endpoint should serve: one blob under one ref (DESIGN §5). Replicas poll it and report what they really serve. */
export const DesiredState = z.strictObject({
  schema: z.literal('goto3/desired/v1'),
  endpoint: z.string(),
  /** Rises with every change; replicas report the generation that they serve. */
  generation: z.number().int().positive(),
  variants: z
    .array(
      z.strictObject({
        /** `stable`, `candidate`, or a shadow's name; the variant header shows it. */
        name: z.string().min(1).max(63),
        /** Digest of the Model manifest. */
        model: Digest.transform((d) => d as Digest),
        /** Share of the traffic in percent; 0 for shadows and for a model that is only kept warm. */
        weight: z.number().min(0).max(100),
        /** A shadow answers every request for the record; callers never see it. */
        shadow: z.boolean(),
      }),
    )
    .max(8),
  /** Why nothing new may be rolled out; null = not frozen. */
  frozen: z.nullable(z.strictObject({ by: z.string(), reason: z.string(), at: z.string() })),
});
export type DesiredState = z.infer<typeof DesiredState>;
export type Variant = DesiredState['variants'][number];

/** `GET /goto3/status` of a replica. */
export interface ReplicaStatus {
  replica: string;
  endpoint: string;
  /** Generation whose variants are all loaded and take traffic. */
  generation: number;
  variants: { name: string; model: string; weight: number; shadow: boolean; ready: boolean }[];
  /**
   * Why the newest desired state cannot be served. `mayPass`: the replica tries again, as for a store that does not answer
   * or memory that is short now; without it nothing helps but another desired state, as for a model that does not load.
   */
  error?: { generation: number; model?: string; message: string; mayPass: boolean };
  startedAt: string;
  inference: InferenceStatus;
}

/** The child process that holds a replica's models. */
export interface InferenceStatus {
  /** Null while none runs: before the first model, or between a crash and the restart. */
  pid: number | null;
  /** Ends that nobody asked for; each is followed by a restart. */
  crashes: number;
  /** Planned exchanges after so many model swaps. */
  replacements: number;
  lastCrash?: { at: string; reason: string };
}

/** A running replica registers itself under `refNames.replica`. */
export const ReplicaRegistration = z.strictObject({
  schema: z.literal('goto3/replica/v1'),
  endpoint: z.string(),
  replica: z.string(),
  url: z.string(),
  startedAt: z.string(),
  /** Set when the replica left in good order. */
  stoppedAt: z.string().optional(),
});
export type ReplicaRegistration = z.infer<typeof ReplicaRegistration>;

/** Evidence, one line per answer and variant; no input text (DESIGN §3). */
export interface CaptureRecord {
  inferenceId: string;
  /** Wall-clock milliseconds. */
  timeMs: number;
  generation: number;
  variant: string;
  /** Digest of the Model manifest that answered. */
  model: string;
  shadow: boolean;
  /** Marked by the caller; counts for errors and latency, never for quality. */
  background: boolean;
  /** Null when the variant failed. */
  answer: { label: string; score: number } | null;
  latencyMs: number;
  /** Error type, not its text. */
  error?: string;
}

const FeatureValue = z.union([z.string(), z.number(), z.boolean(), z.null()]);
/** Values in the order of the model's features, as SageMaker's built-in algorithms take them. */
const PlacedRow = z.strictObject({ features: z.array(FeatureValue) });
/** Features by name. */
const NamedRow = z.record(z.string(), FeatureValue);

/**
 * `POST /invocations` with `application/json`: one row or several. With `text/csv` a line is a row, its fields in the
 * order of the model's features, or by name with `text/csv; header=present`.
 */
export const InvocationBody = z.union([
  z.strictObject({ instances: z.array(z.union([PlacedRow, NamedRow])).min(1) }),
  PlacedRow,
  NamedRow,
]);

export const inferenceHeaders = {
  inferenceId: 'x-amzn-sagemaker-inference-id',
  targetVariant: 'x-amzn-sagemaker-target-variant',
  invokedVariant: 'x-amzn-invoked-production-variant',
  customAttributes: 'x-amzn-sagemaker-custom-attributes',
} as const;
/** In `customAttributes`: traffic that a load generator adds. */
export const backgroundTrafficMark = 'traffic=background';
