import type { Digest } from '../contracts/digest.ts';
import type { Model } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { NotFound } from '../store/errors.ts';
import { getAnyManifest, getManifest } from '../store/manifests.ts';
import { mentions } from '../store/mentions.ts';
import type { Store } from '../store/types.ts';
import type { KeptStore } from '../store/upkeep.ts';
import { requiredHolds } from './holds.ts';
import { recordPruning } from './pruned.ts';
import { type Prunable, type RetentionRules, retention } from './retention.ts';

export interface PrunedModel {
  digest: Digest;
  /** Null: a candidate that never became a version. */
  version: number | null;
  at: string;
  /** Empty: its files go. */
  keptBecause: string[];
  /** Bytes of its files that no other model needs and that are there. */
  bytes: number;
}

export interface PrunePlan {
  model: string;
  models: PrunedModel[];
  files: { digest: Digest; sizeBytes: number }[];
}

/**
 * What pruning would delete: the files of versions and candidates that nothing holds. Manifests, data and everything else
 * of their lineage stay, and so do the cells of their backtests. A file that a kept model shares stays too.
 */
export async function planPruning(
  store: Store,
  model: string,
  rules: RetentionRules,
  now: Date = new Date(),
): Promise<PrunePlan> {
  const ours = new Map<Digest, Prunable & { manifest: Model }>();
  const shared = new Set<Digest>();
  for (const [digest, found] of await allModels(store)) {
    if (found.manifest.model === model) ours.set(digest, found);
    else for (const file of found.manifest.files) shared.add(file.digest);
  }
  const reasons = retention([...ours.values()], await requiredHolds(store, now), rules, now.getTime());
  for (const [digest, { manifest }] of ours)
    if (reasons.get(digest)!.length > 0) for (const file of manifest.files) shared.add(file.digest);
  for (const digest of await partsOfBases(store)) shared.add(digest);

  const files = new Map<Digest, number>();
  const models: PrunedModel[] = [];
  for (const [digest, { version, at, manifest }] of ours) {
    let bytes = 0;
    for (const file of manifest.files) {
      if (shared.has(file.digest) || !(await store.blobs.has(file.digest))) continue;
      bytes += file.sizeBytes;
      files.set(file.digest, file.sizeBytes);
    }
    models.push({ digest, version, at, keptBecause: reasons.get(digest)!, bytes });
  }
  models.sort((a, b) => (a.version ?? 0) - (b.version ?? 0) || (a.at < b.at ? -1 : 1));
  return { model, models, files: [...files].map(([digest, sizeBytes]) => ({ digest, sizeBytes })) };
}

/**
 * Prunes by the plan as it is now. First the record, then the files: killed in between, the next run deletes the rest.
 * What somebody holds since, or puts again, stays. Gives the plan and what was deleted.
 */
export async function prune(
  store: KeptStore,
  model: string,
  rules: RetentionRules,
  word: { by: string; reason: string },
): Promise<{ plan: PrunePlan; deletedFiles: number; deletedBytes: number }> {
  const startedAt = new Date();
  const plan = await planPruning(store, model, rules);
  const [going, files] = [plan.models.filter(({ bytes }) => bytes > 0).map((m) => m.digest), plan.files];
  if (files.length === 0) return { plan, deletedFiles: 0, deletedBytes: 0 };
  await recordPruning(store, { model, models: going, files: files.map(({ digest }) => digest) }, word);
  // A rollback or a new cycle may have come while the record was written.
  const still = new Set((await planPruning(store, model, rules)).files.map(({ digest }) => digest));
  let [deletedFiles, deletedBytes] = [0, 0];
  for (const { digest, sizeBytes } of files) {
    if (!still.has(digest) || !(await store.upkeep.deleteIfOlder(digest, startedAt))) continue;
    deletedFiles += 1;
    deletedBytes += sizeBytes;
  }
  return { plan, deletedFiles, deletedBytes };
}

/** Every approved version, every candidate of a reported cycle, and the float models that int8 ones were made from. */
async function allModels(store: Store): Promise<Map<Digest, Prunable & { manifest: Model }>> {
  const models = new Map<Digest, Prunable & { manifest: Model }>();
  const add = async (digest: Digest, version: number | null, at?: string): Promise<void> => {
    const known = models.get(digest);
    if (known) {
      known.version ??= version;
      return;
    }
    const manifest = await orGone(getManifest(store, digest, 'Model'));
    if (!manifest) return;
    const origin = await orGone(getAnyManifest(store, manifest.run));
    const made = origin?.kind === 'Model' ? manifest.run : null;
    models.set(digest, { digest, version, at: at ?? manifest.createdAt, origin: made, manifest });
    if (made) await add(made, null);
  };
  for await (const name of store.refs.list('models/'))
    if (name.split('/')[2] === 'versions')
      for await (const { entry, digest, time } of store.refs.history(name)) await add(digest, entry, time);
  for await (const name of store.refs.list('loops/')) {
    const [, loop, what] = name.split('/');
    if (loop === undefined || what !== 'reports') continue;
    for await (const { digest } of store.refs.history(refNames.reports(loop))) {
      const report = await orGone(getManifest(store, digest, 'CycleReport'));
      if (report?.candidate) await add(report.candidate, null);
    }
  }
  return models;
}

/** A model may ship a pretrained part unchanged. */
async function partsOfBases(store: Store): Promise<Digest[]> {
  const parts: Digest[] = [];
  for await (const name of store.refs.list('bases/')) {
    const ref = await store.refs.read(name);
    if (ref) parts.push(...((await orGone(mentions(store, ref.digest))) ?? []));
  }
  return parts;
}

async function orGone<T>(read: Promise<T>): Promise<T | undefined> {
  return await read.catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
}
