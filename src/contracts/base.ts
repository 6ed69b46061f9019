import { z } from 'zod';
import { ArtifactFile, Digest as DigestSchema } from './digest.ts';

const Digest = DigestSchema.transform((d) => d as `sha256:${string}`);

/** A pretrained model that fine-tuning starts from, as it came from a hub or a folder. */
export const Base = z.strictObject({
  kind: z.literal('Base'),
  parents: z.array(Digest),
  createdAt: z.string(),
  /** `hub:owner/name@commit` or `folder:/absolute/path`. */
  source: z.string(),
  files: z.array(ArtifactFile).min(1),
  /** The list of files as a document: the same files have the same one, wherever they came from. */
  content: Digest,
  /** `model_type` of its `config.json`. */
  modelType: z.string(),
  sizeBytes: z.number().int().positive(),
  /** As its author wrote it in the model card (usually an SPDX id), else the name of its licence file; null when neither. */
  license: z.string().nullable(),
});
export type Base = z.infer<typeof Base>;
