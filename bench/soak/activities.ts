import { appendFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type {
  CycleActivities,
  DataActivities,
  EvaluateActivities,
  GateActivities,
  JobActivities,
  LoopActivities,
  TrainActivities,
} from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { failureTypes } from '../../src/contracts/failures.ts';

/** Loops of this name run cycle after cycle; all others have no data and wait. */
export const busyLoop = 'busy';

export const someDigest: Digest = `sha256:${'5'.repeat(64)}`;
const resources = { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 };
const hourMs = 3_600_000;

/**
 * Activities that do nothing and keep nothing, so that what a worker holds at the end is what Temporal and our workflows
 * hold. A cycle takes the way of one that ships: new rows, a job, a verdict, a version.
 */
export function cheapActivities({
  client,
  cycles,
  cycleLog,
}: {
  client: Client;
  /** The busy loop ends after so many. */
  cycles: number;
  /** Gets a line for each cycle that ends: number, time, resident bytes of the worker. */
  cycleLog: string;
}): LoopActivities &
  CycleActivities &
  DataActivities &
  TrainActivities &
  Pick<EvaluateActivities, 'selectHoldout' | 'evaluateModel'> &
  GateActivities &
  Pick<JobActivities, 'placeJob' | 'submitJob' | 'awaitJob' | 'collectJob'> {
  const data = { dataset: someDigest, rowCount: 1_000, newRows: 10, trainRows: 800, holdoutRows: 200 };
  const planOf = (loop: string) => ({
    ...{ model: 'm', endpoint: null, newRows: loop === busyLoop ? 1 : null, pollMs: hourMs },
    ...{ liveAccuracyBelow: null, minIntervalMs: 0, cyclesPerDay: 1e9, gpuHoursPerDay: 100 },
    ...{ pauseAfterFailures: 3, cycles: loop === busyLoop ? cycles : null, notifyOn: [] },
  });
  return {
    async loadLoop({ loop }) {
      const nothing = { position: null, consecutiveFailures: 0, paused: null };
      return { plan: planOf(loop), cycles: null, unfinished: null, fuse: nothing, finishedCycles: 0, recent: [] };
    },
    async readPlan({ loop }) {
      return { plan: planOf(loop) };
    },
    async openCycle({ expected, operation }) {
      return { entry: (expected?.entry ?? 0) + 1, digest: someDigest, operation };
    },
    async describeCycle({ workflowId, runId }) {
      const { status, ...found } = await client.workflow.getHandle(workflowId, runId ?? undefined).describe();
      return { open: status.name === 'RUNNING', status: status.name, runId: found.runId };
    },
    async reportLostCycle({ n, detail }) {
      return { n, outcome: 'failed', detail, failed: true, inconclusive: false, gpuHours: 0 };
    },
    async recordFuse({ expected, operation }) {
      return { entry: (expected?.entry ?? 0) + 1, digest: someDigest, operation };
    },
    async requestRetrain({ loop }) {
      return { id: loop, state: 'queued', reason: 'kick' };
    },
    async probeData({ loop, waitMs }) {
      if (loop === busyLoop) return { newRows: data.newRows, trigger: '10 new rows' };
      throw ApplicationFailure.create({
        ...{ message: 'nothing yet', type: failureTypes.notYet, category: 'BENIGN' },
        nextRetryDelay: waitMs ?? hourMs,
      });
    },
    async beginCycle({ loop, n, specDigest }) {
      return {
        ...{ loop, n, specDigest, model: 'm', endpoint: null, dataset: null },
        ...{ champion: null, anchor: null, warmStart: null, quantizeMargin: null, holdoutNewest: 200 },
        ...{ onInconclusive: 'hold', approval: 'auto', rollout: null, notifyOn: [] },
        ...{ resources, maxResources: resources },
      };
    },
    snapshotData: async () => data,
    checkData: async () => ({ problems: [] }),
    dropData: async () => data,
    acceptData: async () => undefined,
    prepareTraining: async () => ({ specDigest: someDigest, trainRows: data.trainRows }),
    async placeJob(input) {
      return { spec: someDigest, queue: null, resources: input.resources, isForeign: false };
    },
    submitJob: async ({ spec }) => ({ runner: 'local', name: 'job', specDigest: spec, externalId: 'job' }),
    awaitJob: async () => ({ state: 'succeeded', failureClass: null, reason: 'exit 0', durationMs: 0 }),
    collectJob: async () => ({ model: someDigest, output: null, metrics: {} }),
    registerModel: async () => ({ model: someDigest, sizeBytes: 1_000 }),
    selectHoldout: async () => ({ rows: someDigest, rowCount: data.holdoutRows }),
    evaluateModel: async () => ({ evaluation: someDigest, servable: true, summary: {} }),
    async decideGate({ candidate }) {
      return {
        ...{ result: 'pass', verdict: someDigest, candidate: candidate.model, precision: 'fp32' },
        ...{ reasons: ['every bound holds'], rowsNeeded: null, evaluation: candidate.evaluation },
        ...{ championEvaluation: null, summary: [] },
      };
    },
    registerVersion: async ({ plan }) => ({ version: plan.n }),
    crownChampion: async () => undefined,
    requestDeploy: async () => ({ id: 'deploy', state: 'refused', reason: 'there is no endpoint' }),
    withdrawDeploy: async () => ({ id: 'deploy', state: 'done', reason: 'there is no endpoint' }),
    async closeCycle({ input: { n }, draft: { outcome, detail, gpuHours } }) {
      appendFileSync(cycleLog, `${JSON.stringify({ n, atMs: Date.now(), rssBytes: process.memoryUsage.rss() })}\n`);
      const failed = outcome === 'failed';
      return { report: someDigest, finished: { n, outcome, detail, gpuHours, failed, inconclusive: false } };
    },
  };
}
