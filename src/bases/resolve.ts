import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { Base } from '../contracts/base.ts';
import { ArtifactFile, type Digest } from '../contracts/digest.ts';
import { refNames } from '../contracts/names.ts';
import { InvalidInput, RefConflict } from '../store/errors.ts';
import { getManifest, putJson, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { type HubOptions, HubRepo } from './hub.ts';
import { checkParts, isPart, licenseOf, modelTypeOf } from './parts.ts';
import { type BaseSpec, parseBaseSpec, sourceOf, UnpinnedBase } from './spec.ts';

export interface ResolveOptions {
  readonly hub?: HubOptions;
  /** Who asks, for the log of the ref that remembers a hub base. */
  readonly by: string;
  readonly now?: () => Date;
  /** Called after every file. */
  readonly onProgress?: (done: { path: string; sizeBytes: number; fetched: boolean }) => void;
}

export interface ResolvedBase {
  readonly digest: Digest;
  readonly base: Base;
}

/** More is no base that one machine fine-tunes, or a mistake. */
const maxBytes = 64 * 2 ** 30;
const maxSmallFileBytes = 64 * 2 ** 20;

/**
 * Brings a base into the store: its files as blobs, a `Base` manifest. A hub base is fetched once (a ref remembers its
 * manifest), file by file; files that the store has are not fetched again, so a killed run goes on where it was. Throws
 * `InvalidInput` for a spec, a repository or a content that is not what was asked for, `UnpinnedBase` with the commit to
 * write instead, `HubUnavailable` when another try may succeed.
 */
export async function resolveBase(store: Store, text: string, options: ResolveOptions): Promise<ResolvedBase> {
  const spec = await parsed(text, options.hub ?? {});
  if (spec.kind === 'store') return { digest: spec.digest, base: await getManifest(store, spec.digest, 'Base') };
  const resolved = spec.kind === 'hub' ? await fromHub(store, spec, options) : await fromFolder(store, spec, options);
  if (spec.content !== undefined && resolved.base.content !== spec.content) {
    throw new InvalidInput(`base ${sourceOf(spec)}: its content is ${resolved.base.content}, expected ${spec.content}`);
  }
  return resolved;
}

async function parsed(text: string, hub: HubOptions): Promise<BaseSpec> {
  try {
    return parseBaseSpec(text);
  } catch (error) {
    if (!(error instanceof UnpinnedBase)) throw error;
    const { repo, revision } = error;
    const commit = await new HubRepo(repo, { stallMs: 5_000, ...hub })
      .commitOf(revision ?? 'main')
      .catch(() => undefined);
    throw new UnpinnedBase(repo, revision, commit);
  }
}

async function fromHub(
  store: Store,
  spec: Extract<BaseSpec, { kind: 'hub' }>,
  options: ResolveOptions,
): Promise<ResolvedBase> {
  const source = sourceOf(spec);
  const name = refNames.base(createHash('sha256').update(source).digest('hex').slice(0, 40));
  const known = await store.refs.read(name);
  if (known !== undefined) return { digest: known.digest, base: await getManifest(store, known.digest, 'Base') };

  const repo = new HubRepo(spec.repo, options.hub ?? {});
  const commit = await repo.commitOf(spec.revision);
  if (commit !== spec.revision) throw new UnpinnedBase(spec.repo, spec.revision, commit);
  const all = await repo.files(spec.revision);
  const wanted = all.filter(({ path }) => isPart(path)).sort((a, b) => (a.path < b.path ? -1 : 1));
  checkParts(
    wanted.map(({ path }) => path),
    all.map(({ path }) => path),
    source,
  );
  checkSize(wanted, source);
  const files: ArtifactFile[] = [];
  for (const file of wanted) {
    const { path, sizeBytes } = file;
    const has = file.digest !== undefined && (await store.blobs.has(file.digest));
    const digest =
      has && file.digest !== undefined
        ? file.digest
        : await store.blobs.put(Readable.from(repo.read(spec.revision, file), { objectMode: false }));
    files.push({ path, digest, sizeBytes });
    options.onProgress?.({ path, sizeBytes, fetched: !has });
  }
  const resolved = await manifest(store, source, files, options);
  const why = { operation: source, by: options.by, reason: 'a base of the hub, fetched' };
  try {
    const ref = await store.refs.compareAndSet(name, undefined, resolved.digest, why);
    // The same operation key: somebody else was faster, and theirs is the one that counts.
    return { digest: ref.digest, base: await getManifest(store, ref.digest, 'Base') };
  } catch (error) {
    if (!(error instanceof RefConflict) || error.found === undefined) throw error;
    return { digest: error.found.digest, base: await getManifest(store, error.found.digest, 'Base') };
  }
}

async function fromFolder(
  store: Store,
  spec: Extract<BaseSpec, { kind: 'folder' }>,
  options: ResolveOptions,
): Promise<ResolvedBase> {
  const source = sourceOf(spec);
  const entries = await readdir(spec.path, { recursive: true }).catch((error: unknown) => {
    throw new InvalidInput(`base ${source}: expected a folder`, { cause: error });
  });
  const paths = entries.map((entry) => entry.replaceAll('\\', '/'));
  const wanted: { path: string; sizeBytes: number }[] = [];
  for (const path of paths.filter(isPart).sort()) {
    const facts = await stat(join(spec.path, path)); // a link is fine here: it is the user's own folder (hub caches are links)
    if (facts.isFile()) wanted.push({ path, sizeBytes: facts.size });
  }
  checkParts(
    wanted.map(({ path }) => path),
    paths,
    source,
  );
  checkSize(wanted, source);
  const files: ArtifactFile[] = [];
  for (const { path } of wanted) {
    const digest = await store.blobs.put(createReadStream(join(spec.path, path)));
    const sizeBytes = await store.blobs.sizeBytes(digest); // of what was stored, also when the file changed meanwhile
    files.push({ path, digest, sizeBytes });
    options.onProgress?.({ path, sizeBytes, fetched: true });
  }
  return manifest(store, source, files, options);
}

async function manifest(
  store: Store,
  source: string,
  files: ArtifactFile[],
  { now = () => new Date() }: ResolveOptions,
): Promise<ResolvedBase> {
  const bytesOf = async (path: string): Promise<Uint8Array | undefined> => {
    const file = files.find((candidate) => candidate.path === path);
    if (file === undefined) return undefined;
    if (file.sizeBytes > maxSmallFileBytes)
      throw new InvalidInput(`base ${source}: ${path} has ${file.sizeBytes} bytes`);
    return store.blobs.read(file.digest);
  };
  const modelType = modelTypeOf((await bytesOf('config.json')) ?? new Uint8Array(0), source);
  const card = await bytesOf('README.md');
  const licenseFile = files.find(({ path }) => path.startsWith('LICENSE'))?.path;
  const base: Base = {
    kind: 'Base',
    parents: [],
    createdAt: now().toISOString(),
    source,
    files,
    content: await putJson(store, z.array(ArtifactFile), files),
    modelType,
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    license: (card && licenseOf(card)) ?? licenseFile ?? null,
  };
  return { digest: await putManifest(store, base), base };
}

function checkSize(files: readonly { sizeBytes: number }[], source: string): void {
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  if (sizeBytes > maxBytes) throw new InvalidInput(`base ${source}: ${sizeBytes} bytes, expected at most ${maxBytes}`);
}
