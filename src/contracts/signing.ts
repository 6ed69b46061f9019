import { z } from 'zod';
import { SecretRef } from './job.ts';

/** `signing.yaml`: who may vouch for models. */
export const SigningPolicy = z
  .strictObject({
    /** Refuse models that no trusted key vouches for, wherever their bytes are used. */
    required: z.boolean().default(false),
    /** Files of public keys in PEM, relative to this file. */
    trusted: z.array(z.string().min(1)).default([]),
    /** The private key, in PEM, for models that a worker makes. */
    signWith: SecretRef.optional(),
  })
  .refine(({ required, trusted }) => !required || trusted.length > 0, {
    path: ['trusted'],
    message: 'expected at least one key where signatures are required',
  });
export const SigningFile = z.strictObject({ signing: SigningPolicy });
