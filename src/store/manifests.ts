import type { z } from 'zod';
import type { Digest } from '../contracts/digest.ts';
import { Manifest } from '../contracts/manifests.ts';
import { canonicalBytes, parseJson } from './canonical-json.ts';
import { InvalidInput } from './errors.ts';
import type { Store } from './types.ts';

type Blobs = Pick<Store, 'blobs'>;
type SigningBlobs = Pick<Store, 'blobs' | 'signing'>;
export type ManifestOf<K extends Manifest['kind']> = Extract<Manifest, { kind: K }>;

/** A document is read whole into memory; a digest of a model or a data segment is refused before that. */
export const maxDocumentBytes = 64 * 2 ** 20;

/**
 * Stores a manifest as canonical JSON, and signs a model where there is a policy. Throws `InvalidInput` that names the
 * field; nothing is written then.
 */
export async function putManifest(store: SigningBlobs, manifest: Manifest): Promise<Digest> {
  const digest = await putJson(store, Manifest, manifest);
  // Signed before anybody hears of its digest: killed in between, it is made again.
  if (manifest.kind === 'Model') await store.signing?.sign(digest, manifest);
  return digest;
}

/**
 * Throws `NotFound`, `CorruptBlob`, or `InvalidInput` that names the digest, the expected kind and the field; and
 * `SignatureRefused` for a model that nobody who is trusted vouches for, where the policy wants that.
 */
export async function getManifest<K extends Manifest['kind']>(
  store: SigningBlobs,
  digest: Digest,
  kind: K,
): Promise<ManifestOf<K>> {
  const value = await readDocument(store, digest);
  const found = kindOf(value);
  if (found !== kind)
    throw new InvalidInput(`blob ${digest}, field kind: expected a ${kind} manifest, found ${describe(found)}`);
  const manifest = decode(Manifest, value, `blob ${digest}, expected a ${kind} manifest`);
  if (manifest.kind === 'Model') await store.signing?.verify(digest, manifest);
  return manifest as ManifestOf<K>;
}

/** A manifest of any kind. */
export async function getAnyManifest(store: Blobs, digest: Digest): Promise<Manifest> {
  return decode(Manifest, await readDocument(store, digest), `blob ${digest}, expected a manifest`);
}

/** Any other small document, checked by its schema before it is written: desired state, registrations, job specs. */
export async function putJson<S extends z.ZodType>(store: Blobs, schema: S, value: z.output<S>): Promise<Digest> {
  decode(schema, value, 'document');
  return store.blobs.put(canonicalBytes(value));
}

/** Throws `NotFound`, `CorruptBlob`, or `InvalidInput` that names the digest and the field. */
export async function getJson<S extends z.ZodType>(store: Blobs, schema: S, digest: Digest): Promise<z.output<S>> {
  return decode(schema, await readDocument(store, digest), `blob ${digest}`);
}

async function readDocument(store: Blobs, digest: Digest): Promise<unknown> {
  const sizeBytes = await store.blobs.sizeBytes(digest);
  if (sizeBytes > maxDocumentBytes)
    throw new InvalidInput(
      `blob ${digest}: expected a document of at most ${maxDocumentBytes} bytes, has ${sizeBytes}`,
    );
  return parseJson(await store.blobs.read(digest), `blob ${digest}`);
}

function decode<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || '(whole)'}: ${issue.message}`);
  throw new InvalidInput(`${what}: ${issues.join('; ')}`);
}

/** The `kind` that a document claims. */
export function kindOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
}

const describe = (kind: unknown): string =>
  typeof kind === 'string' ? JSON.stringify(kind.slice(0, 64)) : 'a document without a kind';
