import type { CyclePlan } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import { JobSpec } from '../../contracts/job.ts';
import { canonicalJson, digestOf } from '../../store/canonical-json.ts';
import { InvalidInput } from '../../store/errors.ts';
import { getManifest, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { readSpec } from '../spec.ts';
import { programDigest } from '../train.ts';

/** As the fine-tune: it shares the machine with the endpoint and gives way to it. */
const evaluationNice = 10;

/**
 * The job that runs the user's evaluation program on one model: `SM_CHANNEL_MODEL` is the model's folder,
 * `SM_CHANNEL_HOLDOUT` has `rows.jsonl`. Its key names model, rows and program, so the same three are run once in a cycle
 * and a program that was repaired runs anew.
 */
export async function evaluationJob(
  store: Store,
  { plan, model: digest, rows }: { plan: CyclePlan; model: Digest; rows: Digest },
): Promise<{ key: string; specDigest: Digest }> {
  const { spec, folder } = await readSpec(store, plan.specDigest);
  const { evaluate } = spec;
  if (!evaluate || !plan.evaluation)
    throw new InvalidInput(`spec ${plan.specDigest}: expected evaluate.program, it has none`);
  const { files } = await getManifest(store, digest, 'Model');
  const job: Omit<JobSpec, 'name'> = {
    program: evaluate.program,
    workingDirectory: folder,
    environment: evaluate.env,
    hyperparameters: Object.fromEntries(
      Object.entries(evaluate.hyperparameters).map(([name, value]) => [name, String(value)]),
    ),
    channels: {
      model: files,
      holdout: [{ path: 'rows.jsonl', digest: rows, sizeBytes: await store.blobs.sizeBytes(rows) }],
    },
    resources: plan.evaluation.resources,
    progressTimeoutMs: evaluate.progressTimeout,
    nice: evaluationNice,
    expects: 'output',
  };
  const program = (await programDigest(job)) ?? null;
  const identity = digestOf(canonicalJson({ job, program })).slice('sha256:'.length);
  const key = `${plan.loop}/${plan.n}/evaluate/${identity.slice(0, 16)}`;
  return { key, specDigest: await putJson(store, JobSpec, { ...job, name: key }) };
}
