import { activityInfo } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { WithStartWorkflowOperation, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { CycleActivities, CyclePlan } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { endpointStart } from '../contracts/endpoint-start.ts';
import { refNames, workflowIds } from '../contracts/names.ts';
import { getManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { endpoint as endpointWorkflow } from '../workflows/endpoint.ts';
import { deployUpdate, withdrawUpdate } from '../workflows/messages.ts';
import { finishedOf } from './cycle-outcome.ts';
import { cyclePhases } from './cycle-phases.ts';
import { asRef, positionOf } from './refs.ts';
import { jobResourcesOf, readSpec, rolloutPlanOf } from './spec.ts';
import { isUnreadable } from './unreadable.ts';

export interface CycleDeps {
  store: Store;
  client: Client;
  /** `sagemaker:<target>`, where models are registered too. */
  registry?: string | undefined;
}

export function createCycleActivities({ store, client, registry }: CycleDeps): CycleActivities {
  return {
    async beginCycle({ loop, n, specDigest, inconclusiveBefore }) {
      const { spec, appliedBy } = await readSpec(store, specDigest);
      const champion = positionOf(await store.refs.read(refNames.champion(spec.model)));
      const anchor = positionOf(await store.refs.read(refNames.anchor(spec.model)));
      const fresh = spec.base.warmStart === 'never' || (n - 1) % spec.base.freshEvery === 0;
      const plan: CyclePlan = {
        loop,
        n,
        specDigest,
        model: spec.model,
        endpoint: spec.rollout === 'none' ? null : spec.rollout.endpoint,
        dataset: positionOf(await store.refs.read(refNames.dataset(loop))),
        champion,
        anchor: spec.gate.against.includes('anchor') ? anchor : null,
        warmStart: champion && !fresh ? await floatOrigin(champion.digest) : null,
        quantizeMargin: spec.quantize === 'never' ? null : (spec.quantize.margin ?? spec.quantize.worseBy ?? 0),
        holdoutNewest: spec.data.holdout.newest * (1 + inconclusiveBefore),
        onInconclusive: spec.gate.onInconclusive,
        approval:
          spec.approval === 'auto'
            ? 'auto'
            : {
                by: spec.approval.by,
                notBy: spec.approval.notBy === 'author' ? appliedBy : null,
                withinMs: spec.approval.within,
                onTimeout: spec.approval.onTimeout,
              },
        rollout: rolloutPlanOf(spec),
        ...jobResourcesOf(spec.train),
        ...(spec.evaluate && { evaluation: jobResourcesOf(spec.evaluate) }),
        notifyOn: spec.notify?.on ?? [],
        ...(registry !== undefined && { registry }),
      };
      return plan;
    },

    async registerVersion({ plan, candidate, by, reason, byPerson }) {
      // The last hop before it can serve: where models must be signed, an unsigned one is refused here too.
      if (store.signing) await getManifest(store, candidate, 'Model');
      const operation = `${plan.loop}/${plan.n}/version`;
      const { entry } = await store.refs.append(refNames.versions(plan.model), candidate, { operation, by, reason });
      if (byPerson) await store.refs.append(refNames.anchor(plan.model), candidate, { operation, by, reason });
      return { version: entry };
    },

    async crownChampion({ plan, candidate, by, reason }) {
      const name = refNames.champion(plan.model);
      await store.refs.compareAndSet(name, asRef(name, plan.champion), candidate, {
        operation: `${plan.loop}/${plan.n}/champion`,
        by,
        reason,
      });
    },

    async requestDeploy({ endpoint, request }) {
      const asked = client.workflow.executeUpdateWithStart(deployUpdate, {
        args: [request],
        // A retry of this run is the same update; a cycle that is run again asks anew.
        updateId: `${request.requestId}/${activityInfo().workflowExecution?.runId ?? ''}`,
        startWorkflowOperation: new WithStartWorkflowOperation<typeof endpointWorkflow>(
          'endpoint',
          endpointStart(endpoint),
        ),
      });
      return await asked.catch((error: unknown) => {
        // Its validator's word is final: asked again it would say the same.
        if (!(error instanceof WorkflowUpdateFailedError)) throw error;
        return { id: request.requestId, state: 'refused', reason: error.cause?.message ?? error.message };
      });
    },

    async withdrawDeploy({ endpoint, deploy, reason, by }) {
      const request = { requestId: `${deploy}/withdraw`, deploy, reason, by };
      try {
        return await client.workflow
          .getHandle(workflowIds.endpoint(endpoint))
          .executeUpdate(withdrawUpdate, { args: [request], updateId: request.requestId });
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        return { id: deploy, state: 'done', reason: 'nothing to withdraw: the endpoint has no workflow' };
      }
    },

    async closeCycle({ plan, input, draft }) {
      const evaluations = draft.verdict ? (await getManifest(store, draft.verdict, 'Verdict')).evaluations : [];
      const metricsOf = async (model: string | undefined) => {
        for (const digest of model ? evaluations : []) {
          const evaluation = await getManifest(store, digest, 'Evaluation');
          if (evaluation.model === model) return evaluation.metrics;
        }
        return undefined;
      };
      const metrics = await metricsOf(draft.candidate);
      const championMetrics = await metricsOf(plan?.champion?.digest);
      const endedAt = new Date();
      const report = await putManifest(store, {
        ...draft,
        kind: 'CycleReport',
        parents: [draft.dataset, draft.candidate, draft.verdict, draft.deployment].flatMap((digest) =>
          digest ? [digest] : [],
        ),
        createdAt: endedAt.toISOString(),
        endedAt: endedAt.toISOString(),
        ...(metrics && { metrics }),
        ...(championMetrics && { championMetrics }),
        phasesMs: await cyclePhases(client, input, Date.parse(draft.startedAt), endedAt.getTime()),
      });
      const { digest } = await store.refs.append(refNames.reports(input.loop), report, {
        operation: `${input.loop}/${input.n}/report`,
        by: workflowIds.cycle(input.loop, input.n),
        reason: `${draft.outcome}: ${draft.detail}`.slice(0, 500),
      });
      return { report: digest, finished: finishedOf(await getManifest(store, digest, 'CycleReport')) };
    },
  };

  /** A champion that ships as int8 was made from a float model: that one carries the weights to go on from. */
  async function floatOrigin(digest: Digest): Promise<Digest | null> {
    try {
      const model = await getManifest(store, digest, 'Model');
      return model.precision === 'int8' ? model.run : digest;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return null;
    }
  }
}
