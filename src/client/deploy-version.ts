import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import { rolloutPlanOf } from '../activities/spec.ts';
import { endpointStart } from '../contracts/endpoint-start.ts';
import type { Answer, DeployRequest } from '../contracts/messages.ts';
import { refNames } from '../contracts/names.ts';
import { requireFiles } from '../models/copy.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { endpoint as endpointWorkflow } from '../workflows/index.ts';
import { deployUpdate } from '../workflows/messages.ts';
import { InvalidArgument } from './errors.ts';
import { loopOfModel } from './model-loop.ts';
import { modelVersion } from './models.ts';
import { accepted, tellOrStart } from './talk.ts';

export interface DeployWord {
  /** The request's own name: asked again with it, it is one request. */
  requestId: string;
  reason: string;
  by: string;
  /** Whose rollout rules, where several loops have the model. */
  loop?: string;
}

/**
 * Rolls an approved version out: through the workflow of its loop's endpoint, with the canary, the evidence and the
 * probation of the applied loop file, as a cycle would. What came by `models promote` gets to serve this way, and an older
 * version comes back by it. The champion moves when the rollout has ended well, not now.
 *
 * @returns the endpoint's answer: `started`, `queued` behind another rollout, or `done` where it serves already
 * @throws NotFoundError, InvalidArgument where the loop has no endpoint; InvalidInput where its files were pruned;
 * SignatureRefused; Refused with the endpoint's reason: frozen, barred, of another model; NoServer, NoWorkers
 */
export async function deployVersion(
  { temporal, store }: { temporal: Client; store: Store },
  model: string,
  version: number,
  { loop, ...word }: DeployWord,
): Promise<Answer & { endpoint: string; version: number }> {
  const { digest, version: number } = await modelVersion(store, model, version);
  // Where models must be signed, the store refuses one that is not.
  const { files } = await getManifest(store, digest, 'Model');
  await requireFiles(store, `${model}@${number}`, files);
  const { loop: ofLoop, spec } = await loopOfModel(store, model, loop);
  const plan = rolloutPlanOf(spec);
  if (spec.rollout === 'none' || !plan)
    throw new InvalidArgument(
      `${model}@${number}: the loop ${ofLoop} has no endpoint to roll it out on ("rollout: none"): what is approved is the champion`,
    );
  const { endpoint } = spec.rollout;
  const request: DeployRequest = {
    ...{ ...word, model: digest, modelName: model, loop: ofLoop, version: number, plan, replyTo: null },
    approvedByPerson: await wasApprovedByPerson(store, model, digest),
  };
  const start = new WithStartWorkflowOperation<typeof endpointWorkflow>('endpoint', endpointStart(endpoint));
  return { ...accepted(await tellOrStart(temporal, start, deployUpdate, request)), endpoint, version: number };
}

/** Anchors are the versions that a person approved. */
async function wasApprovedByPerson(store: Store, model: string, digest: string): Promise<boolean> {
  for await (const anchor of store.refs.history(refNames.anchor(model))) if (anchor.digest === digest) return true;
  return false;
}
