import type { Digest } from '../contracts/digest.ts';
import type { LoopSpec } from '../contracts/loop-spec.ts';
import type { Dataset } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { appliedLoop, appliedLoops } from './apply.ts';
import { InvalidArgument, NotFoundError } from './errors.ts';

/** The loop that a model is judged by, and the rows that it holds out. */
export interface ModelLoop {
  loop: string;
  spec: LoopSpec;
  specDigest: Digest;
  dataset: { digest: Digest; manifest: Dataset };
}

/**
 * The applied loop of a model, with its accepted dataset. @param loop where several have the model
 * @throws NotFoundError, InvalidArgument
 */
export async function loopOfModel(store: Store, model: string, loop?: string): Promise<ModelLoop> {
  const found: Pick<ModelLoop, 'loop' | 'spec' | 'specDigest'>[] = [];
  for await (const name of appliedLoops(store)) {
    if (loop !== undefined && name !== loop) continue;
    const applied = await appliedLoop(store, name);
    if (applied?.spec.model === model) found.push({ loop: name, spec: applied.spec, specDigest: applied.digest });
  }
  const [one, ...more] = found;
  if (!one)
    throw new NotFoundError(
      loop === undefined
        ? `no loop of the model ${model} is applied here, so there is no hold-out to score on; goto3 apply <file>`
        : `the loop ${loop} is not applied here, or is not of the model ${model}`,
    );
  if (more.length > 0)
    throw new InvalidArgument(
      `the model ${model} has ${found.length} loops: say whose hold-out with --loop ${found.map((l) => l.loop).join('|')}`,
    );
  const ref = await store.refs.read(refNames.dataset(one.loop));
  if (!ref) throw new NotFoundError(`the loop ${one.loop} has no accepted data yet, so nothing is held out`);
  return { ...one, dataset: { digest: ref.digest, manifest: await getManifest(store, ref.digest, 'Dataset') } };
}
