import { z } from 'zod';
import { type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { refNames } from '../contracts/names.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

const digest = DigestSchema.transform((text) => text as Digest);

/** Model files that are gone on purpose. Written before the first of them is deleted, so that no absence is a riddle. */
const Pruned = z.strictObject({
  schema: z.literal('goto3/pruned/v1'),
  model: z.string(),
  /** Manifests whose files these are; they and their lineage stay. */
  models: z.array(digest),
  files: z.array(digest),
});

export interface PruneRecord {
  model: string;
  models: readonly Digest[];
  files: readonly Digest[];
}

/** The same record twice is one entry. */
export async function recordPruning(
  store: Store,
  { model, models, files }: PruneRecord,
  { by, reason }: { by: string; reason: string },
): Promise<void> {
  const record = { schema: 'goto3/pruned/v1' as const, model, models: [...models].sort(), files: [...files].sort() };
  const next = await putJson(store, Pruned, record);
  await store.refs.append(refNames.pruned(model), next, { operation: `prune ${next}`, by, reason });
}

/** Files of a model's versions that were pruned; they may have come back since. */
export async function prunedFiles(store: Store, model: string): Promise<Set<Digest>> {
  const files = new Set<Digest>();
  for await (const entry of store.refs.history(refNames.pruned(model)))
    for (const file of (await getJson(store, Pruned, entry.digest)).files) files.add(file);
  return files;
}

/** Of all models: what a check of the store need not look for. */
export async function allPrunedFiles(store: Store): Promise<Set<Digest>> {
  const files = new Set<Digest>();
  for await (const name of store.refs.list('models/')) {
    const [, model, what] = name.split('/');
    if (model !== undefined && what === 'pruned') for (const file of await prunedFiles(store, model)) files.add(file);
  }
  return files;
}
