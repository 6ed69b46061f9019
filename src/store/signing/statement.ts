import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type ArtifactFile, type Digest, isSafeRelativePath } from '../../contracts/digest.ts';
import { parseJson } from '../canonical-json.ts';
import { InvalidInput } from '../errors.ts';
import { InvalidSigning, SignatureRefused } from './errors.ts';

/** A file of a model, as it is signed. */
export type SignedFile = Pick<ArtifactFile, 'path' | 'digest'>;

/** Where the signature lies in a model's folder: it cannot sign itself. */
export const signatureFile = 'model.sig';

const statementType = 'https://in-toto.io/Statement/v1';
/** OpenSSF Model Signing v1.0. */
const predicateType = 'https://model_signing/signature/v1.0';

const hex = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 hex digits');
const path = z.string().refine(isSafeRelativePath, 'expected a relative path with "/", without ".."');

/** Fields of the predicate that v1.0 does not know are ignored, as it says. */
const Statement = z.object({
  _type: z.literal(statementType),
  subject: z.tuple([z.object({ name: z.string(), digest: z.object({ sha256: hex }) })]),
  predicateType: z.literal(predicateType),
  predicate: z.object({
    serialization: z.object({
      method: z.literal('files'),
      hash_type: z.literal('sha256'),
      allow_symlinks: z.boolean(),
      ignore_paths: z.array(z.string()).default([]),
    }),
    resources: z.array(z.object({ name: path, algorithm: z.literal('sha256'), digest: hex })).min(1),
  }),
});

/** The in-toto statement about a model's files. @throws InvalidSigning for no files, or names that cannot be signed */
export function statementOf(name: string, files: readonly SignedFile[]): Uint8Array {
  const sorted = [...files].sort((a, b) => byPath(a.path, b.path));
  if (sorted.length === 0) throw new InvalidSigning(`model ${name}: there is no file to sign`);
  for (const [i, file] of sorted.entries()) {
    if (!isSafeRelativePath(file.path) || file.path === signatureFile || file.path === sorted[i - 1]?.path)
      throw new InvalidSigning(`model ${name}: the file name ${JSON.stringify(file.path)} cannot be signed`);
  }
  const resources = sorted.map(({ path, digest }) => ({ name: path, algorithm: 'sha256', digest: hexOf(digest) }));
  const statement: z.input<typeof Statement> = {
    _type: statementType,
    subject: [{ name, digest: { sha256: rootDigest(resources) } }],
    predicateType,
    predicate: {
      serialization: { method: 'files', hash_type: 'sha256', allow_symlinks: false, ignore_paths: [signatureFile] },
      resources: resources.map((resource) => ({ ...resource, algorithm: 'sha256' as const })),
    },
  };
  return Buffer.from(JSON.stringify(statement));
}

export interface ReadStatement {
  name: string;
  /** Digests by path. */
  files: ReadonlyMap<string, Digest>;
  /** Paths, with all below them, that the signer left out. */
  ignored: readonly string[];
}

/** @throws SignatureRefused that names the field */
export function readStatement(payload: Uint8Array): ReadStatement {
  const parsed = Statement.safeParse(parsedJson(payload));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new SignatureRefused(`statement, ${issue!.path.join('.') || 'whole'}: ${issue!.message}`);
  }
  const { subject, predicate } = parsed.data;
  const files = new Map(predicate.resources.map(({ name, digest }): [string, Digest] => [name, `sha256:${digest}`]));
  if (files.size < predicate.resources.length) throw new SignatureRefused('statement: a file occurs twice');
  if (rootDigest(predicate.resources) !== subject[0].digest.sha256)
    throw new SignatureRefused('statement: its files do not hash to the digest of its subject');
  return { name: subject[0].name, files, ignored: predicate.serialization.ignore_paths };
}

function parsedJson(payload: Uint8Array): unknown {
  try {
    return parseJson(payload, 'statement');
  } catch (error) {
    if (error instanceof InvalidInput) throw new SignatureRefused(error.message);
    throw error;
  }
}

/** SHA-256 over the digests themselves, in the order of the list. */
function rootDigest(resources: readonly { digest: string }[]): string {
  const hash = createHash('sha256');
  for (const { digest } of resources) hash.update(Buffer.from(digest, 'hex'));
  return hash.digest('hex');
}

const hexOf = (digest: string): string => digest.slice('sha256:'.length);

/** By folder, then by name, in code points, as the other implementations sort paths. */
function byPath(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a.replaceAll('/', '\0')), Buffer.from(b.replaceAll('/', '\0')));
}
