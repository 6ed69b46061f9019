import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import type { LoopActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { failureTypes } from '../contracts/failures.ts';
import type { CycleReport } from '../contracts/manifests.ts';
import type { OpenedCycle } from '../contracts/messages.ts';
import { refNames, workflowIds } from '../contracts/names.ts';
import { getJson, getManifest, putJson, putManifest } from '../store/manifests.ts';
import type { Ref, Store } from '../store/types.ts';
import { retrainUpdate } from '../workflows/messages.ts';
import { finishedOf } from './cycle-outcome.ts';
import { asRef, positionOf } from './refs.ts';
import { loopPlanOf, readSpec } from './spec.ts';

const Fuse = z.strictObject({
  consecutiveFailures: z.number().int().nonnegative(),
  paused: z.nullable(z.strictObject({ by: z.string(), reason: z.string(), atMs: z.number() })),
});

const dayMs = 86_400_000;

export function createLoopActivities({ store, client }: { store: Store; client: Client }): LoopActivities {
  return {
    async loadLoop({ loop, specDigest }) {
      const { spec } = await readSpec(store, specDigest);
      const opened = await store.refs.read(refNames.cycles(loop));
      const fuseRef = await store.refs.read(refNames.fuse(loop));
      const reports = await recentReports(loop);
      const reported = opened && reports.some(({ cycle }) => cycle === opened.entry);
      return {
        plan: loopPlanOf(spec),
        cycles: positionOf(opened),
        unfinished: opened && !reported ? await asOpened(opened, specDigest) : null,
        fuse: {
          position: positionOf(fuseRef),
          ...(fuseRef ? await getJson(store, Fuse, fuseRef.digest) : { consecutiveFailures: 0, paused: null }),
        },
        finishedCycles: (await store.refs.read(refNames.reports(loop)))?.entry ?? 0,
        recent: reports
          .map(({ startedAt, gpuHours }) => ({ startedAtMs: Date.parse(startedAt), gpuHours }))
          .filter(({ startedAtMs }) => startedAtMs > Date.now() - dayMs)
          .reverse(),
      };
    },

    async readPlan({ specDigest }) {
      const { spec } = await readSpec(store, specDigest);
      return { plan: loopPlanOf(spec) };
    },

    async openCycle({ loop, expected, specDigest, operation, reason, by }) {
      const name = refNames.cycles(loop);
      const opened = await putManifest(store, {
        kind: 'CycleOpened',
        parents: [],
        createdAt: await createdAt(name, operation),
        loop,
        cycle: (expected?.entry ?? 0) + 1,
        reason,
        spec: specDigest,
      });
      return positionOf(
        await store.refs.compareAndSet(name, asRef(name, expected), opened, { operation, by, reason }),
      )!;
    },

    async describeCycle({ workflowId, runId }) {
      try {
        // The newest run under this id, which no other cycle ever has: a reset in the Web UI ends the run that the loop
        // knows and goes on as another one.
        const { status, runId: found } = await client.workflow.getHandle(workflowId).describe();
        return { open: status.name === 'RUNNING', status: status.name.toLowerCase(), runId: found };
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return { open: false, status: 'forgotten', runId: runId ?? '' };
        throw error;
      }
    },

    async reportLostCycle({ loop, n, reason, startedAtMs, detail }) {
      const report: CycleReport = {
        kind: 'CycleReport',
        parents: [],
        createdAt: new Date().toISOString(),
        loop,
        cycle: n,
        reason,
        startedAt: new Date(startedAtMs).toISOString(),
        endedAt: new Date().toISOString(),
        outcome: 'failed',
        detail,
        gpuHours: 0,
        phasesMs: {},
      };
      const { digest } = await store.refs.append(refNames.reports(loop), await putManifest(store, report), {
        operation: `${loop}/${n}/report`,
        by: workflowIds.loop(loop),
        reason: detail.slice(0, 500),
      });
      return finishedOf(await getManifest(store, digest, 'CycleReport'));
    },

    async recordFuse({ loop, expected, consecutiveFailures, paused, operation }) {
      const name = refNames.fuse(loop);
      const next = await putJson(store, Fuse, { consecutiveFailures, paused });
      const why = {
        operation,
        by: paused?.by ?? 'goto3',
        reason: paused?.reason.slice(0, 500) ?? `${consecutiveFailures} failures in a row`,
      };
      return positionOf(await store.refs.compareAndSet(name, asRef(name, expected), next, why))!;
    },

    async requestRetrain({ loop, request }) {
      try {
        return await client.workflow
          .getHandle(workflowIds.loop(loop))
          .executeUpdate(retrainUpdate, { args: [request], updateId: request.requestId });
      } catch (error) {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
        throw ApplicationFailure.nonRetryable(
          `the loop ${loop} is not running; goto3 apply <file> starts it`,
          failureTypes.loopNotApplied,
        );
      }
    },
  };

  async function asOpened({ entry, digest, reason, by }: Ref, current: Digest): Promise<OpenedCycle> {
    const { spec } = await getManifest(store, digest, 'CycleOpened');
    return { n: entry, specDigest: spec ?? current, reason, by };
  }

  /** Newest first, back to a day ago and at least the last few: enough for limits and for the last cycle's fate. */
  async function recentReports(loop: string): Promise<CycleReport[]> {
    const reports: CycleReport[] = [];
    for await (const { digest, time } of store.refs.history(refNames.reports(loop))) {
      if (reports.length >= 10 && Date.parse(time) < Date.now() - dayMs) break;
      reports.push(await getManifest(store, digest, 'CycleReport'));
    }
    return reports;
  }

  /** A retry after a lost reply writes the same bytes: the time is that of the entry it made, if it made one. */
  async function createdAt(name: string, operation: string): Promise<string> {
    const newest = await store.refs.read(name);
    if (newest?.operation !== operation) return new Date().toISOString();
    return (await getManifest(store, newest.digest, 'CycleOpened')).createdAt;
  }
}
