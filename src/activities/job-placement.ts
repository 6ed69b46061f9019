import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { JobActivities, JobPlacement } from '../contracts/activities.ts';
import { type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { JobSpec } from '../contracts/job.ts';
import { isRefName, refNames } from '../contracts/names.ts';
import { RefConflict } from '../store/errors.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { FileList } from './train.ts';
import { arrayOf } from './workload/array.ts';

const digest = DigestSchema.transform((text) => text as Digest);

/** What the store keeps of an attempt: the first decision is the only one. */
const Placement = z.strictObject({
  schema: z.literal('goto3/placement/v1'),
  name: z.string(),
  /** The spec that was asked for; its name, resources and checkpoint are replaced for each attempt. */
  asked: digest,
  spec: digest,
  queue: z.nullable(z.string()),
});
type Placement = z.infer<typeof Placement>;

/**
 * Creates the placement of an attempt exclusively, or returns the one that is there: then the same training is found again
 * where it runs, with the resources that it got, whoever asks and whatever the spec says by now.
 */
export async function placeJob(
  store: Store,
  queue: string | null,
  { name, specDigest, resources, checkpoint, partition, tasks }: Parameters<JobActivities['placeJob']>[0],
): Promise<JobPlacement> {
  const ref = refNames.job(idOf(name));
  const before = await store.refs.read(ref);
  if (before) return await placed(store, before.digest, specDigest);
  const asked = await getJson(store, JobSpec, specDigest);
  const files = checkpoint && (await getJson(store, FileList, checkpoint));
  const { batch, array } = asked;
  const spec = await putJson(store, JobSpec, {
    ...asked,
    ...{ name, resources },
    ...(files && { checkpoint: files }),
    ...(batch && partition !== undefined && { batch: { ...batch, partition } }),
    ...(array && tasks && { array: await arrayOf(store, array, tasks) }),
  });
  const placement: Placement = { schema: 'goto3/placement/v1', name, asked: specDigest, spec, queue };
  try {
    const why = { operation: `place ${name}`, by: 'goto3', reason: queue ?? 'any worker of its queue' };
    const { digest } = await store.refs.compareAndSet(ref, undefined, await putJson(store, Placement, placement), why);
    return await placed(store, digest, specDigest);
  } catch (error) {
    if (!(error instanceof RefConflict) || !error.found) throw error;
    return await placed(store, error.found.digest, specDigest);
  }
}

async function placed(store: Store, digest: Digest, asked: Digest): Promise<JobPlacement> {
  const placement = await getJson(store, Placement, digest);
  const { resources } = await getJson(store, JobSpec, placement.spec);
  return { spec: placement.spec, queue: placement.queue, resources, isForeign: placement.asked !== asked };
}

/** Readable where the name is fit for a ref. */
const idOf = (name: string): string =>
  isRefName(`jobs/${name}`) ? name : `by-hash/${createHash('sha256').update(name).digest('hex').slice(0, 40)}`;
