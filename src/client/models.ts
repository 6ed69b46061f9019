import { Digest } from '../contracts/digest.ts';
import { isName, refNames } from '../contracts/names.ts';
import type { Ref, Store } from '../store/types.ts';
import { InvalidArgument, NotFoundError } from './errors.ts';

/** An approved version of a model: an entry of its log. */
export interface ModelVersion {
  model: string;
  version: number;
  digest: Digest;
  approvedBy: string;
  reason: string;
  /** ISO. */
  approvedAt: string;
}

/** Names of all models with an approved version. */
export async function* modelNames(store: Store): AsyncIterable<string> {
  for await (const name of store.refs.list('models/')) {
    const [, model, what] = name.split('/');
    if (model !== undefined && what === 'versions') yield model;
  }
}

/** Newest first. */
export async function* modelVersions(store: Store, model: string): AsyncIterable<ModelVersion> {
  requireModelName(model);
  for await (const entry of store.refs.history(refNames.versions(model))) yield versionOf(model, entry);
}

/** A version by its number, or the newest one. @throws NotFoundError that lists what there is */
export async function modelVersion(store: Store, model: string, version?: number): Promise<ModelVersion> {
  requireModelName(model);
  const name = refNames.versions(model);
  for await (const entry of store.refs.history(name, version))
    if (version === undefined || entry.entry === version) return versionOf(model, entry);
    else break;
  const newest = await store.refs.read(name);
  if (!newest)
    throw new NotFoundError(`the model ${model} has no approved version; goto3 models list shows what there is`);
  throw new NotFoundError(`the model ${model} has no version ${version}; its newest is ${newest.entry}`);
}

/** What served (or, without an endpoint, was approved last) at a time; undefined when nothing did. */
export async function championAt(
  store: Store,
  model: string,
  at?: Date,
): Promise<{ ref: Ref; version: number | undefined } | undefined> {
  requireModelName(model);
  const ref = await store.refs.read(refNames.champion(model), at);
  if (!ref) return undefined;
  return { ref, version: await versionOfDigest(store, model, ref.digest, new Date(ref.time)) };
}

/**
 * The number under which a digest was approved: of several the newest, or the newest at a time. Approval comes right
 * before a champion moves, so with the time of that move the first look finds it, however long the log is.
 */
export async function versionOfDigest(
  store: Store,
  model: string,
  digest: Digest,
  at?: Date,
): Promise<number | undefined> {
  requireModelName(model);
  const name = refNames.versions(model);
  const from = at && (await store.refs.read(name, at));
  for await (const { digest: approved, entry } of store.refs.history(name, from?.entry))
    if (approved === digest) return entry;
  // Clocks of two writers differ: it may have been approved "after" it moved.
  return at && (await versionOfDigest(store, model, digest));
}

/** `sha256:…`, `model@3`, or `model` for its newest version. */
export async function resolveModel(store: Store, text: string): Promise<Digest> {
  if (Digest.safeParse(text).success) return text as Digest;
  const [, model, version] = /^([^@]+?)(?:@([1-9]\d{0,8}))?$/.exec(text) ?? [];
  if (model === undefined || !isName(model))
    throw new InvalidArgument(
      `${JSON.stringify(text)}: expected a digest "sha256:…" with 64 hex digits, or <model>@<version> such as spam-filter@3`,
    );
  return (await modelVersion(store, model, version === undefined ? undefined : Number(version))).digest;
}

function requireModelName(model: string): void {
  if (!isName(model))
    throw new InvalidArgument(`model ${JSON.stringify(model)}: expected lower-case letters, digits, ".", "_" and "-"`);
}

const versionOf = (model: string, { entry, digest, by, reason, time }: Ref): ModelVersion => ({
  model,
  version: entry,
  digest,
  approvedBy: by,
  reason,
  approvedAt: time,
});
