import type { Digest } from '../../contracts/digest.ts';
import { JobSpec } from '../../contracts/job.ts';
import type { Dataset, Evaluation, Model, Run } from '../../contracts/manifests.ts';
import type { Registrable } from '../../contracts/messages.ts';
import { InvalidInput } from '../../store/errors.ts';
import { getAnyManifest, getJson, getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

/** What our manifests say of a candidate. */
export interface Candidate {
  model: Model;
  evaluation: Evaluation;
  evaluationDigest: Digest;
  result: string;
  dataset: Dataset;
  run: Run;
  runDigest: Digest;
  /** Where the training ran, when that has a name: `sagemaker:prod`. */
  runsOn: string | undefined;
}

/** Throws `NotFound`, `CorruptBlob` or `InvalidInput` for a candidate whose lineage is not whole. */
export async function readCandidate(store: Store, { candidate, verdict }: Registrable): Promise<Candidate> {
  const model = await getManifest(store, candidate, 'Model');
  const judged = await getManifest(store, verdict, 'Verdict');
  const { run, runDigest } = await runOf(store, model);
  return {
    ...{ model, run, runDigest, ...(await evaluationOf(store, candidate, judged.evaluations)) },
    result: judged.verdict.result,
    dataset: await getManifest(store, model.dataset, 'Dataset'),
    runsOn: (await getJson(store, JobSpec, run.jobSpec)).runsOn,
  };
}

async function evaluationOf(
  store: Store,
  candidate: Digest,
  evaluations: readonly Digest[],
): Promise<Pick<Candidate, 'evaluation' | 'evaluationDigest'>> {
  for (const digest of evaluations) {
    const evaluation = await getManifest(store, digest, 'Evaluation');
    if (evaluation.model === candidate) return { evaluation, evaluationDigest: digest };
  }
  throw new InvalidInput(`the verdict on ${candidate} rests on no evaluation of it`);
}

/** A quantized model names the one that it was made from, and that one its run. */
async function runOf(store: Store, model: Model): Promise<{ run: Run; runDigest: Digest }> {
  const manifest = await getAnyManifest(store, model.run);
  if (manifest.kind === 'Model') return await runOf(store, manifest);
  if (manifest.kind !== 'Run')
    throw new InvalidInput(`${model.run}: expected the Run of a model, found ${manifest.kind}`);
  return { run: manifest, runDigest: model.run };
}
