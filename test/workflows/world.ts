import { createHash } from 'node:crypto';
import { activityInfo, heartbeat, sleep } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type {
  AwaitedJob,
  CanaryResult,
  CycleActivities,
  CyclePlan,
  DataActivities,
  DataProblem,
  EndpointActivities,
  EvaluateActivities,
  GateActivities,
  GateResult,
  JobActivities,
  JobPlacement,
  LoopActivities,
  NotifyActivities,
  QuantizeActivities,
  ReportDraft,
  TrainActivities,
} from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import type { DesiredState } from '../../src/contracts/endpoint.ts';
import { failureTypes } from '../../src/contracts/failures.ts';
import type { JobResources } from '../../src/contracts/job.ts';
import type {
  Answer,
  DeployRequest,
  LoopPlan,
  Notice,
  OpenedCycle,
  RefPosition,
} from '../../src/contracts/messages.ts';

export const digestOf = (text: string): Digest => `sha256:${createHash('sha256').update(text).digest('hex')}`;

interface Attempt {
  name: string;
  resources: JobResources;
  checkpoint: unknown;
}

/**
 * Activities without a world behind them: workflows alone are under test here. One instance per loop or endpoint, found
 * by its name, so that tests share workers and never each other's state.
 */
export class World {
  readonly calls: string[] = [];
  plan: LoopPlan = {
    model: 'm',
    endpoint: null,
    pollMs: null,
    newRows: null,
    liveAccuracyBelow: null,
    minIntervalMs: 0,
    cyclesPerDay: 1000,
    gpuHoursPerDay: 100,
    pauseAfterFailures: 3,
    cycles: null,
    notifyOn: [],
  };
  cycle: Partial<CyclePlan> = {};
  cycles: RefPosition | null = null;
  unfinished: OpenedCycle | null = null;
  fuse: { consecutiveFailures: number; paused: unknown } | null = null;
  reports: ReportDraft[] = [];
  deploys: DeployRequest[] = [];
  newRows = 10;
  problems: DataProblem[] = [];
  gate: Partial<GateResult> = {};
  jobEnds: Partial<AwaitedJob>[] = [];
  jobs: Attempt[] = [];
  /** By the digest of their spec. */
  attempts = new Map<string, Attempt>();
  withdrawnJobs: string[] = [];
  cancelledJobs: string[] = [];
  jobHangs = false;
  desired: { position: RefPosition; state: DesiredState } | null = null;
  /** Who moved it last, where that was not the workflow. */
  movedBy: { by: string; reason: string; atMs: number } | null = null;
  known: { model: Digest; modelName: string; version: number }[] = [];
  barred: Digest[] = [];
  deployments: { outcome: string; by: string; reason: string }[] = [];
  /** What replicas say that do not serve the generation. */
  notServed: { failed: boolean; detail: string } | null = null;
  champion: RefPosition | null = null;
  canary: Partial<CanaryResult>[] = [];
  canaryHangs = false;
  probation: 'passed' | 'rollback' | 'pending' = 'pending';
  trigger: string | null = null;
  deployAnswer: Answer | null = null;
  notices: Notice[] = [];
  webhookIsAway = false;
  /** Attempts that another life of the workflow has placed. */
  placements = new Map<string, JobPlacement>();
  /** This activity fails for good. */
  failsAt: string | null = null;
  /** This activity fails, and may succeed when it is tried again. */
  failsForNowAt: string | null = null;
  /** What the next call of this activity throws away its reply of, having done its work. */
  losesReplyAt: string | null = null;
}

export class Worlds {
  /** Set when there is a server to ask about other workflows. */
  client: Client | undefined;
  private readonly worlds = new Map<string, World>();

  of(name: string): World {
    let world = this.worlds.get(name);
    if (!world) {
      world = new World();
      this.worlds.set(name, world);
    }
    return world;
  }

  /** All of them, as the workers register them. */
  activities(): LoopActivities &
    CycleActivities &
    DataActivities &
    TrainActivities &
    EvaluateActivities &
    QuantizeActivities &
    GateActivities &
    JobActivities &
    NotifyActivities &
    EndpointActivities {
    const worlds = this;
    const of = (name: string, call?: string): World => {
      const world = worlds.of(name);
      const { activityType } = activityInfo();
      world.calls.push(call ?? activityType);
      if (world.failsAt === activityType)
        throw ApplicationFailure.nonRetryable(`${activityType} is broken`, failureTypes.invalidInput);
      if (world.failsForNowAt === activityType) throw new Error(`${activityType} does not work just now`);
      return world;
    };
    const next = (position: RefPosition | null, text: string): RefPosition => ({
      entry: (position?.entry ?? 0) + 1,
      digest: digestOf(text),
      operation: text,
    });
    const attemptOf = (spec: string): Attempt => {
      for (const { attempts } of worlds.worlds.values()) if (attempts.has(spec)) return attempts.get(spec)!;
      throw new Error(`no attempt ${spec} was placed`);
    };
    const loopOfJob = (name: string): string => name.split('/')[0]!;

    return {
      async loadLoop({ loop }) {
        const { plan, cycles, unfinished } = of(loop);
        return {
          plan,
          cycles,
          unfinished,
          fuse: { position: null, consecutiveFailures: 0, paused: null },
          finishedCycles: 0,
          recent: [],
        };
      },
      async readPlan({ loop, specDigest }) {
        const world = of(loop);
        if (specDigest === digestOf('broken spec'))
          throw ApplicationFailure.nonRetryable('spec: gate.metrics: expected a list', failureTypes.invalidInput);
        return { plan: world.plan };
      },
      async openCycle({ loop, expected }) {
        const world = of(loop);
        if ((world.cycles?.entry ?? 0) !== (expected?.entry ?? 0))
          throw ApplicationFailure.nonRetryable('the ref was moved by somebody else', failureTypes.refConflict);
        world.cycles = next(expected, `cycle of ${loop}`);
        return world.cycles;
      },
      async describeCycle({ workflowId, runId }) {
        const { status, runId: found } = await worlds
          .client!.workflow.getHandle(workflowId, runId ?? undefined)
          .describe();
        return { open: status.name === 'RUNNING', status: status.name, runId: found };
      },
      async reportLostCycle({ loop, n, detail }) {
        const { reports } = of(loop);
        const own = reports.find(({ cycle }) => cycle === n);
        const { outcome, gpuHours } = own ?? { outcome: 'failed' as const, gpuHours: 0 };
        return {
          ...{ n, outcome, detail: own?.detail ?? detail, gpuHours },
          ...{ failed: outcome === 'failed', inconclusive: outcome === 'inconclusive' },
        };
      },
      async recordFuse({ loop, expected, consecutiveFailures, paused }) {
        of(loop).fuse = { consecutiveFailures, paused };
        return next(expected, 'fuse');
      },
      async requestRetrain({ loop }) {
        of(loop);
        return { id: `cycle/${loop}/1`, state: 'started', reason: 'kick' };
      },
      async probeData({ loop, waitMs }) {
        const { trigger } = of(loop);
        worlds.of(loop).trigger = null;
        if (!trigger && waitMs !== null)
          throw ApplicationFailure.create({
            message: 'nothing yet',
            type: failureTypes.notYet,
            nextRetryDelay: waitMs,
            category: 'BENIGN',
          });
        return { newRows: trigger ? 100 : 0, trigger };
      },
      async snapshotData({ plan }) {
        const { newRows } = of(plan.loop);
        return { dataset: digestOf('data'), rowCount: newRows, newRows, trainRows: newRows, holdoutRows: 0 };
      },
      async checkData({ plan }) {
        return { problems: of(plan.loop).problems };
      },
      async dropData({ plan, slice }) {
        of(plan.loop, `dropData ${slice}`);
        return { dataset: digestOf('dropped'), rowCount: 5, newRows: 5, trainRows: 5, holdoutRows: 0 };
      },
      async acceptData({ plan, by }) {
        of(plan.loop, `acceptData by ${by}`);
      },
      async beginCycle({ loop, n, specDigest }) {
        const { cycle, plan } = of(loop);
        return {
          loop,
          n,
          specDigest,
          model: plan.model,
          endpoint: plan.endpoint,
          dataset: null,
          champion: null,
          anchor: null,
          warmStart: null,
          quantizeMargin: null,
          holdoutNewest: 100,
          onInconclusive: 'hold',
          approval: 'auto',
          rollout: null,
          resources: { gpus: 1, cpus: 1, memoryBytes: 1000, timeLimitMs: 1000 },
          maxResources: { gpus: 1, cpus: 1, memoryBytes: 4000, timeLimitMs: 1000 },
          notifyOn: [],
          ...cycle,
        };
      },
      async registerVersion({ plan, by, byPerson }) {
        of(plan.loop, `registerVersion by ${by}${byPerson ? ' (person)' : ''}`);
        return { version: plan.n };
      },
      async crownChampion({ plan }) {
        of(plan.loop);
      },
      async requestDeploy({ request }) {
        const world = of(request.loop);
        world.deploys.push(request);
        return world.deployAnswer ?? { id: request.requestId, state: 'started', reason: 'ok' };
      },
      async withdrawDeploy({ deploy, endpoint }) {
        of(deploy.split('/')[1]!, `withdraw from ${endpoint}`);
        return { id: deploy, state: 'done', reason: 'ok' };
      },
      async notify({ loop, notice }) {
        const world = of(loop, `notify ${notice.event}`);
        if (world.webhookIsAway) throw new Error('the webhook did not answer');
        if (!world.notices.some(({ key }) => key === notice.key)) world.notices.push(notice);
      },
      async closeCycle({ input, plan, draft }) {
        if (plan) of(input.loop);
        else worlds.of(input.loop).calls.push('closeCycle in short');
        worlds.of(input.loop).reports.push(draft);
        const { outcome, detail, gpuHours } = draft;
        return {
          report: digestOf(`report ${input.n}`),
          finished: {
            ...{ n: input.n, outcome, detail, gpuHours, inconclusive: outcome === 'inconclusive' },
            failed: outcome === 'failed' || outcome === 'rolledBack',
          },
        };
      },
      async prepareTraining({ plan }) {
        of(plan.loop);
        return { specDigest: digestOf('spec'), trainRows: 10 };
      },
      async registerModel({ plan, attempts }) {
        of(plan.loop, `registerModel after attempt ${attempts}`);
        return { model: digestOf(`model ${plan.n}`), sizeBytes: 1000 };
      },
      async selectHoldout() {
        return { rows: digestOf('rows'), rowCount: 3 };
      },
      async prepareEvaluation({ plan, model }) {
        of(plan.loop);
        return { key: `${plan.loop}/${plan.n}/evaluate`, specDigest: digestOf(`evaluation of ${model}`) };
      },
      async evaluateModel({ plan, model }) {
        of(plan.loop);
        return { evaluation: digestOf(`evaluation of ${model}`), servable: true, summary: {} };
      },
      async quantizeModel({ plan, model }) {
        of(plan.loop);
        return { model: digestOf(`int8 of ${model}`), sizeBytes: 300, sizeBefore: 1000, quantized: 3, skipped: 0 };
      },
      async decideGate({ plan, candidate, int8, champion }) {
        const { gate } = of(plan.loop);
        const chosen = int8 ?? candidate;
        return {
          result: 'pass',
          verdict: digestOf('verdict'),
          candidate: chosen.model,
          precision: int8 ? 'int8' : 'fp32',
          reasons: ['every bound holds'],
          rowsNeeded: null,
          evaluation: chosen.evaluation,
          championEvaluation: champion?.evaluation ?? null,
          summary: [['accuracy', '0.98', '0.97']],
          ...gate,
        };
      },
      async placeJob({ name, specDigest, resources, checkpoint }) {
        const world = worlds.of(loopOfJob(name));
        const placed = world.placements.get(name);
        if (placed) return placed;
        const spec = digestOf(`${specDigest} as ${name}`);
        world.attempts.set(spec, { name, resources, checkpoint });
        return { spec, queue: null, resources, isForeign: false };
      },
      async submitJob({ spec }) {
        const { name, ...attempt } = attemptOf(spec);
        const world = worlds.of(loopOfJob(name));
        const isNew = !world.jobs.some((job) => job.name === name);
        if (world.losesReplyAt !== 'submitJob') of(loopOfJob(name));
        if (isNew) world.jobs.push({ name, ...attempt });
        if (world.losesReplyAt === 'submitJob') throw new Error('the reply got lost');
        return { runner: 'local', name, specDigest: spec, externalId: `folder of ${name}` };
      },
      async withdrawJob({ spec }) {
        const { name } = attemptOf(spec);
        const world = of(loopOfJob(name));
        world.withdrawnJobs.push(name);
        world.jobs = world.jobs.filter((job) => job.name !== name);
      },
      async awaitJob({ ref }) {
        const world = of(loopOfJob(ref.name));
        heartbeat();
        while (world.jobHangs) {
          await sleep(20);
          heartbeat();
        }
        return {
          state: 'succeeded',
          failureClass: null,
          reason: 'exit 0',
          durationMs: 3_600,
          ...world.jobEnds.shift(),
        };
      },
      async collectJob({ ref }) {
        of(loopOfJob(ref.name));
        return { model: digestOf('files'), output: null, metrics: { loss: 0.1 } };
      },
      async cancelJob({ ref }) {
        of(loopOfJob(ref.name)).cancelledJobs.push(ref.name);
      },
      async collectArray() {
        throw new Error('no job of these tests is an array');
      },
      async saveCheckpoint({ ref }) {
        of(loopOfJob(ref.name));
        return { checkpoint: digestOf(`checkpoint of ${ref.name}`) };
      },
      async loadEndpoint({ endpoint }) {
        const { desired, barred, movedBy: moved, known } = of(endpoint);
        return { desired: desired?.position ?? null, moved, state: desired?.state ?? null, barred, known };
      },
      async readChampion({ model }) {
        return { champion: of(model).champion };
      },
      async setDesired({ endpoint, expected, state }) {
        const world = of(
          endpoint,
          `desired ${state.variants.map((v) => `${v.name}=${v.weight}${v.shadow ? ' shadow' : ''}`).join(' ')}`,
        );
        if ((world.desired?.position.entry ?? 0) !== (expected?.entry ?? 0))
          throw ApplicationFailure.nonRetryable('moved by somebody else', failureTypes.refConflict);
        world.desired = { position: next(expected, JSON.stringify(state)), state };
        return world.desired.position;
      },
      async awaitGeneration({ endpoint }) {
        const { notServed } = of(endpoint);
        await sleep(notServed ? 50 : 0);
        return { serving: notServed === null, failed: false, detail: 'all replicas', ...notServed };
      },
      async observeCanary({ endpoint, weight }) {
        const world = of(endpoint, `canary ${weight}`);
        while (world.canaryHangs) {
          heartbeat();
          await sleep(20);
        }
        const at = new Date(0).toISOString();
        const step = {
          weight,
          startedAt: at,
          endedAt: at,
          candidateRequests: 300,
          stableRequests: 300,
          backgroundShare: 0,
          candidateErrors: 0,
          stableErrors: 0,
          decision: 'advance',
        };
        return { decision: 'advance', reason: 'no harm', step, ...world.canary.shift() };
      },
      async watchDesired({ endpoint, expected }) {
        while (true) {
          const now = worlds.of(endpoint).desired!;
          if (now.position.entry !== expected.entry)
            return { desired: now.position, state: now.state, by: 'hand', reason: 'moved' };
          heartbeat();
          await sleep(20);
        }
      },
      async observeProbation({ endpoint }) {
        const world = of(endpoint);
        while (world.probation === 'pending') {
          heartbeat();
          await sleep(20);
        }
        return { outcome: world.probation, reason: `labels say ${world.probation}` };
      },
      async recordDeployment({ endpoint, outcome, champion, modelName, by, reason }) {
        of(endpoint, `record ${outcome}`).deployments.push({ outcome, by, reason });
        const position = champion && {
          entry: (champion.expected?.entry ?? 0) + 1,
          digest: champion.next,
          operation: 'champion',
        };
        if (position) worlds.of(modelName).champion = position;
        return { deployment: digestOf(`deployment ${outcome}`), champion: position };
      },
      async bar({ endpoint, model }) {
        of(endpoint, 'bar').barred.push(model);
      },
    };
  }
}
