import { readFile } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { log } from '@temporalio/activity';
import { z } from 'zod';
import type { HubOptions } from '../bases/hub.ts';
import type { ResolvedBase, ResolveOptions } from '../bases/resolve.ts';
import type { CyclePlan, TrainActivities } from '../contracts/activities.ts';
import { ArtifactFile, type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { JobSpec } from '../contracts/job.ts';
import type { Dataset } from '../contracts/manifests.ts';
import { ModelSignature, modelFileName, signatureFileName } from '../contracts/model.ts';
import { digestOf } from '../store/canonical-json.ts';
import { InvalidInput } from '../store/errors.ts';
import { getJson, getManifest, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { keep, pin, pinned } from './pins.ts';
import { pulse } from './pulse.ts';
import { readSpec, type Spec } from './spec.ts';
import { isUnreadable } from './unreadable.ts';

const digest = DigestSchema.transform((text) => text as Digest);

/** Lists of files, as blobs: what `collectJob` returns and `registerModel` reads. */
export const FileList = z.array(ArtifactFile);

/** A fine-tune shares the machine with the endpoint and gives way to it. */
const trainingNice = 10;

/** What a cycle trains on. Decided once: the job exists under the cycle's number, whatever has come in since. */
const TrainingDecision = z.strictObject({
  schema: z.literal('goto3/training/v1'),
  jobSpec: digest,
  dataset: digest,
  warmStart: z.nullable(digest),
  /** The pretrained base that `base.from` names. */
  base: z.nullable(digest).default(null),
});
type TrainingDecision = z.infer<typeof TrainingDecision>;

export interface TrainDeps {
  store: Store;
  /** Where bases of a hub come from; the Hugging Face hub when left out. */
  hub?: HubOptions;
}

export function createTrainActivities({ store, hub = {} }: TrainDeps): TrainActivities {
  return {
    async prepareTraining({ plan, dataset }) {
      return await pulse(async (say, signal) => {
        // A base of the hub may take minutes, file by file; a retry goes on with the files that are missing.
        const options = { hub: { ...hub, signal }, by: `cycle/${plan.loop}/${plan.n}`, onProgress: say };
        const decision = (await decided(store, plan)) ?? (await decide(store, plan, dataset, options));
        const { segments } = await getManifest(store, decision.dataset, 'Dataset');
        const { runsOn } = await getJson(store, JobSpec, decision.jobSpec);
        return {
          specDigest: decision.jobSpec,
          trainRows: segments.reduce((sum, s) => sum + s.trainRows, 0),
          ...(runsOn !== undefined && { queue: 'hpc' as const }),
        };
      });
    },

    async registerModel({ plan, jobKey, jobSpec, files: list, metrics, durationMs, attempts }) {
      return await pulse(async () => {
        const decision = await decided(store, plan);
        if (decision?.jobSpec !== jobSpec)
          throw new InvalidInput(`job spec ${jobSpec}: cycle ${plan.loop}/${plan.n} decided on ${decision?.jobSpec}`);
        const { dataset, warmStart, base } = decision;
        const files = await getJson(store, FileList, list);
        const signature = await readSignature(store, files);
        const { task } = (await readSpec(store, plan.specDigest)).spec.data;
        if ((signature.task === 'regression') !== (task === 'regression'))
          throw new InvalidInput(`${signatureFileName}: task is ${signature.task}, and data.task is ${task}`);
        const spec = await getJson(store, JobSpec, jobSpec);
        const createdAt = new Date().toISOString();
        const program = await programDigest(spec);
        const run = await keep(store, plan, 'run', {
          kind: 'Run',
          parents: [dataset, ...(base ? [base] : []), ...(warmStart ? [warmStart] : [])],
          createdAt,
          job: jobKey,
          jobSpec,
          program: spec.program,
          ...(program && { programDigest: program }),
          hyperparameters: spec.hyperparameters,
          metrics,
          durationMs,
          attempts,
        });
        const sizeBytes = files.find(({ path }) => path === modelFileName)!.sizeBytes;
        const model = await keep(store, plan, 'model', {
          kind: 'Model',
          parents: [run],
          createdAt,
          model: plan.model,
          loop: plan.loop,
          cycle: plan.n,
          precision: 'fp32',
          files,
          signature,
          sizeBytes,
          run,
          dataset,
          ...(warmStart && { warmStart }),
        });
        return { model, sizeBytes };
      });
    },
  };
}

async function decided(store: Store, plan: CyclePlan): Promise<TrainingDecision | undefined> {
  const found = await pinned(store, plan, 'training');
  return found && (await getJson(store, TrainingDecision, found));
}

async function decide(
  store: Store,
  plan: CyclePlan,
  datasetDigest: Digest,
  options: ResolveOptions,
): Promise<TrainingDecision> {
  const dataset = await getManifest(store, datasetDigest, 'Dataset');
  const champion = plan.warmStart && (await readableModel(store, plan.warmStart));
  const read = await readSpec(store, plan.specDigest);
  const { from } = read.spec.base;
  const pretrained = from === 'scratch' ? undefined : await resolved(store, from, options);
  const spec = await trainingSpec(store, plan, channelsOf(pretrained?.base.files, champion), read, dataset);
  const decision: TrainingDecision = {
    schema: 'goto3/training/v1',
    jobSpec: await putJson(store, JobSpec, spec),
    dataset: datasetDigest,
    warmStart: champion && plan.warmStart,
    base: pretrained?.digest ?? null,
  };
  await pin(store, plan, 'training', await putJson(store, TrainingDecision, decision));
  return decision;
}

/** The hub's client is loaded where a loop has a base, and nowhere else. */
async function resolved(store: Store, from: string, options: ResolveOptions): Promise<ResolvedBase> {
  const { resolveBase } = await import('../bases/resolve.ts');
  return await resolveBase(store, from, options);
}

/**
 * `base` is what training starts from. A pretrained one stays the start of every cycle, and the champion then comes beside
 * it, for programs that go on from its weights.
 */
function channelsOf(pretrained: ArtifactFile[] | undefined, champion: ArtifactFile[] | null): JobSpec['channels'] {
  if (pretrained === undefined) return champion ? { base: champion } : {};
  return { base: pretrained, ...(champion && { champion }) };
}

/** A champion whose bytes are gone is no base; the cycle starts from scratch, as every few cycles do anyway. */
async function readableModel(store: Store, digest: Digest): Promise<ArtifactFile[] | null> {
  try {
    const { files } = await getManifest(store, digest, 'Model');
    for (const file of files) for await (const _chunk of await store.blobs.get(file.digest));
    return files;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    log.warn('the champion cannot be read, so the training starts from scratch', { digest, problem: error.message });
    return null;
  }
}

async function trainingSpec(
  store: Store,
  plan: CyclePlan,
  starts: JobSpec['channels'],
  { spec, folder }: Spec,
  dataset: Dataset,
): Promise<JobSpec> {
  const train: ArtifactFile[] = [];
  for (const [i, segment] of dataset.segments.entries())
    train.push({
      path: `part-${String(i).padStart(6, '0')}.jsonl`,
      digest: segment.train,
      sizeBytes: await store.blobs.sizeBytes(segment.train),
    });
  return {
    name: `${plan.loop}/${plan.n}/train`,
    program: spec.train.program,
    workingDirectory: folder,
    environment: spec.train.env,
    hyperparameters: Object.fromEntries(
      Object.entries(spec.train.hyperparameters).map(([name, value]) => [name, String(value)]),
    ),
    channels: { train, ...starts },
    resources: plan.resources,
    progressTimeoutMs: spec.train.progressTimeout,
    ...(spec.train.runsOn === 'local' ? { nice: trainingNice } : { nice: 0, runsOn: spec.train.runsOn }),
    expects: 'model',
  };
}

async function readSignature(store: Store, files: readonly ArtifactFile[]): Promise<ModelSignature> {
  const signature = files.find(({ path }) => path === signatureFileName);
  if (!signature || !files.some(({ path }) => path === modelFileName))
    throw new InvalidInput(
      `the training left no ${modelFileName} with a ${signatureFileName} beside it in SM_MODEL_DIR`,
    );
  return await getJson(store, ModelSignature, signature.digest);
}

/** The program's own file, where argv names one: what a later reader can compare with. */
export async function programDigest({
  program,
  workingDirectory,
}: Pick<JobSpec, 'program' | 'workingDirectory'>): Promise<Digest | undefined> {
  const file = program.slice(0, 4).find((part) => /\.[a-z]{1,4}$/.test(part));
  if (!file) return undefined;
  return await readFile(isAbsolute(file) ? file : resolve(workingDirectory, file)).then(digestOf, () => undefined);
}
