import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import type { QueryDefinition } from '@temporalio/common';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../src/client/ask.ts';
import { cancelJob } from '../src/client/job.ts';
import type { DeployRequest, Request, RolloutPlan } from '../src/contracts/messages.ts';
import { taskQueues, workflowIds } from '../src/contracts/names.ts';
import { workloadIds } from '../src/contracts/workload-names.ts';
import { endpoint, job, kick, retrainCycle, retrainingLoop } from '../src/workflows/index.ts';
import * as messages from '../src/workflows/messages.ts';
import { resumeWorkloadUpdate, workloadStatusQuery } from '../src/workflows/workload-messages.ts';
import { eventually, startTemporal, startWorkers } from '../test/temporal.ts';
import { WorkloadWorlds } from '../test/workflows/workload-world.ts';
import { digestOf, type World, Worlds } from '../test/workflows/world.ts';

/**
 * Records one history of every kind of run into `test/histories`, from a real server and activities without a world
 * behind them; test/workflows/replay.test.ts replays all of them on the workflows of today. What exists stays: a history
 * is a promise to those that run. Code that must break one keeps the old way behind `patched()`, and the new way is
 * recorded under a new name.
 *
 *     node --import tsx scripts/record-histories.ts
 */
const folder = fileURLToPath(new URL('../test/histories/', import.meta.url));
const largestBytes = 300_000;

const worlds = new Worlds();
let env: TestWorkflowEnvironment;
let requests = 0;
const says = (by: string): Request => {
  requests += 1;
  return { requestId: `request-${requests}`, reason: 'because', by };
};

const stories: Record<string, () => Promise<WorkflowHandle>> = {
  'loop-triggered': async () => {
    const world = worlds.of('triggered');
    world.plan = { ...world.plan, newRows: 50 };
    const loop = await startLoop('triggered');
    await eventually('the first probe', async () => world.calls.includes('probeData'));
    world.trigger = '100 new rows';
    await loop.signal(messages.newDataSignal, { rows: 100 });
    await loop.signal('newData', 'rubbish');
    await cyclesOf(loop, 1);
    return loop;
  },
  'loop-paused-and-asked': async () => {
    const loop = await startLoop('paused');
    await ask(loop, messages.pauseUpdate, says('ann'));
    await ask(loop, messages.retrainUpdate, says('ann'));
    await ask(loop, messages.resumeUpdate, says('ann'));
    await ask(loop, messages.retrainUpdate, says('ann'));
    await cyclesOf(loop, 1);
    await ask(loop, messages.setSpecUpdate, { ...says('ann'), specDigest: digestOf('another spec') });
    return loop;
  },
  'loop-fuse': async () => {
    const world = worlds.of('fused');
    world.plan = { ...world.plan, pauseAfterFailures: 1 };
    world.failsAt = 'snapshotData';
    const loop = await startLoop('fused');
    await ask(loop, messages.retrainUpdate, says('ann'));
    await cyclesOf(loop, 1);
    await eventually('the fuse is recorded', async () => world.calls.includes('recordFuse'));
    return loop;
  },
  'loop-parked': async () => {
    const world = worlds.of('parked');
    world.plan = { ...world.plan, notifyOn: ['parked'] };
    world.failsAt = 'loadLoop';
    const loop = await startLoop('parked');
    await isParked(loop, messages.loopStatusQuery);
    world.failsAt = null;
    await ask(loop, messages.setSpecUpdate, { ...says('ann'), specDigest: digestOf('another spec') });
    await ask(loop, messages.retrainUpdate, says('ann'));
    await cyclesOf(loop, 1);
    world.failsAt = 'openCycle';
    await ask(loop, messages.retrainUpdate, says('ann'));
    await isParked(loop, messages.loopStatusQuery);
    await eventually('told', async () => world.notices.length === 1);
    world.failsAt = null;
    await ask(loop, messages.resumeUpdate, says('ann'));
    await cyclesOf(loop, 2);
    return loop;
  },
  'cycle-approved-by-a-person': async () => {
    const world = worlds.of('asked');
    world.cycle = {
      quantizeMargin: 0.01,
      champion: { entry: 1, digest: digestOf('champion'), operation: 'champion' },
      approval: { by: ['ann'], notBy: null, withinMs: 600_000, onTimeout: 'reject' },
    };
    const cycle = await startCycle('asked');
    await waitsFor(cycle, 'approval');
    await ask(cycle, messages.approveUpdate, says('mallory'));
    await ask(cycle, messages.approveUpdate, says('ann'));
    await cycle.result();
    return cycle;
  },
  'cycle-nobody-approved': async () => {
    worlds.of('late').cycle = { approval: { by: ['ann'], notBy: null, withinMs: 50, onTimeout: 'reject' } };
    return await ended(await startCycle('late'));
  },
  'cycle-parked-on-data': async () => {
    worlds.of('poisoned').problems = [{ check: 'labelDisagreement', slice: 'a=b', rows: 40, message: '60 % disagree' }];
    const cycle = await startCycle('poisoned');
    await waitsFor(cycle, 'parked');
    await ask(cycle, messages.dropDataUpdate, { ...says('ann'), slice: 'a=b' });
    return await ended(cycle);
  },
  'cycle-parked-on-training': async () => {
    worlds.of('broken').jobEnds = [{ state: 'failed', failureClass: 'userError', reason: 'SyntaxError in train.ts' }];
    const cycle = await startCycle('broken');
    await waitsFor(cycle, 'parked');
    await ask(cycle, messages.retryUpdate, { ...says('ann'), resources: { memoryBytes: 2_000 } });
    return await ended(cycle);
  },
  'cycle-deployed': async () => {
    rollsOut('deployed');
    const cycle = await startCycle('deployed');
    await eventually('the deploy', async () => worlds.of('deployed').deploys.length === 1);
    await cycle.signal(messages.deployFinishedSignal, {
      ...{ requestId: cycle.workflowId, outcome: 'deployed', reason: 'the canary held', deployment: digestOf('d') },
    });
    return await ended(cycle);
  },
  'cycle-cancelled-in-its-rollout': async () => {
    rollsOut('withdrawn');
    const cycle = await startCycle('withdrawn');
    await eventually('the deploy', async () => worlds.of('withdrawn').deploys.length === 1);
    await cycle.cancel();
    return await ended(cycle);
  },
  'cycle-failed-gate': async () => {
    worlds.of('bad').gate = { result: 'fail', reasons: ['accuracy fell by 3 points'] };
    return await ended(await startCycle('bad'));
  },
  'endpoint-canary-and-probation': async () => {
    const { handle, world, deploy, serves } = await startEndpoint('mail');
    await deploy(1);
    await serves(1);
    await deploy(2, { probation: { forMs: 1_000, accuracyLoss: 0.03 } });
    await serves(2);
    world.probation = 'passed';
    await eventually('passed', async () => (await handle.query(messages.endpointStatusQuery)).probation === null);
    await ask(handle, messages.shadowUpdate, { ...says('ann'), name: 'frozen', model: digestOf('v1') });
    await eventually('a shadow', async () => world.calls.includes('desired current=100 frozen=0 shadow'));
    return handle;
  },
  'endpoint-rolled-back': async () => {
    const { handle, world, deploy, serves } = await startEndpoint('bad');
    await deploy(1);
    await serves(1);
    world.canary = [{}, { decision: 'rollback', reason: '9 of 30 answers failed' }];
    await deploy(2);
    await eventually('rolled back', async () => world.calls.includes('record rolledBack'));
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await deploy(3);
    await serves(3);
    await ask(handle, messages.rollbackUpdate, says('ann'));
    await eventually(
      'rolled back again',
      async () => world.calls.filter((c) => c === 'record rolledBack').length === 2,
    );
    return handle;
  },
  'endpoint-moved-by-hand': async () => {
    const { handle, world, deploy, serves } = await startEndpoint('glass');
    await deploy(1);
    await serves(1);
    world.canaryHangs = true;
    const withdrawn = await deploy(2);
    await eventually('canary', async () => world.calls.includes('canary 10'));
    await ask(handle, messages.withdrawUpdate, { ...says('ann'), deploy: withdrawn });
    await eventually('withdrawn', async () => world.calls.includes('record withdrawn'));
    const { position, state } = world.desired!;
    world.desired = { position: { ...position, entry: position.entry + 1 }, state };
    await eventually('frozen', async () => (await handle.query(messages.endpointStatusQuery)).frozen !== null);
    return handle;
  },
  'endpoint-parked': async () => {
    const { handle, world, deploy, serves } = await startEndpoint('stuck');
    await deploy(1);
    await serves(1);
    world.canaryHangs = true;
    const withdrawn = await deploy(2);
    await eventually('canary', async () => world.calls.includes('canary 10'));
    world.failsAt = 'setDesired';
    await ask(handle, messages.withdrawUpdate, { ...says('ann'), deploy: withdrawn });
    await isParked(handle, messages.endpointStatusQuery);
    world.failsAt = null;
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await eventually('withdrawn', async () => world.calls.includes('record withdrawn'));
    return handle;
  },
  'endpoint-told-who-is-on-call': async () => {
    const { handle, world, deploy, serves } = await startEndpoint('told');
    for (const version of [1, 2]) {
      await deploy(version);
      await serves(version);
    }
    await ask(handle, messages.rollbackUpdate, says('ann'));
    await eventually('it is told', async () => world.notices.length === 1);
    return handle;
  },
  'job-cancelled-in-its-submit': async () => {
    const world = worlds.of('unsubmitted');
    world.failsForNowAt = 'submitJob';
    const handle = await startJob('unsubmitted');
    await eventually('it fails', async () => world.calls.includes('submitJob'));
    await handle.cancel();
    return await ended(handle);
  },
  'job-passed-over-a-foreign-attempt': async () => {
    const resources = { gpus: 0, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };
    const world = worlds.of('foreign');
    const spec = digestOf('something else');
    world.attempts.set(spec, { name: 'foreign/1/train/1', resources, checkpoint: null });
    world.placements.set('foreign/1/train/1', { spec, queue: null, resources, isForeign: true });
    return await ended(await startJob('foreign'));
  },
  'job-retried': async () => {
    const bigger = { state: 'failed', failureClass: 'outOfMemory', reason: 'oom' } as const;
    worlds.of('retried').jobEnds = [{ state: 'failed', failureClass: 'infrastructure', reason: 'killed' }, bigger];
    return await ended(await startJob('retried'));
  },
  'job-cancelled': async () => {
    worlds.of('stopped').jobHangs = true;
    const handle = await startJob('stopped');
    await eventually('it runs', async () => (await handle.query(messages.jobStatusQuery)).state === 'running');
    await handle.cancel();
    return await ended(handle);
  },
  kick: async () => {
    const handle = await env.client.workflow.start(kick, {
      workflowId: workflowIds.kick('kicked'),
      taskQueue: taskQueues.control,
      args: [{ loop: 'kicked', reason: 'schedule 0 3 * * * UTC' }],
    });
    return await ended(handle);
  },
};

/** On a server that suggests a new run after few events. */
const storiesOfShortRuns: typeof stories = {
  /** A run that ends in the next one, while its cycle waits for a person. */
  'loop-continues-as-new': async () => {
    const world = worlds.of('patient');
    world.cycle = { approval: { by: ['ann'], notBy: null, withinMs: 600_000, onTimeout: 'reject' } };
    const first = await startLoop('patient');
    await ask(first, messages.retrainUpdate, says('ann'));
    await waitsFor(env.client.workflow.getHandle(workflowIds.cycle('patient', 1)), 'approval');
    const loop = env.client.workflow.getHandle(workflowIds.loop('patient'));
    await eventually('a new run', async () => {
      await ask(loop, messages.retrainUpdate, says('bob'));
      return (await loop.describe()).runId !== first.firstExecutionRunId;
    });
    return env.client.workflow.getHandle(workflowIds.loop('patient'), first.firstExecutionRunId);
  },
  /** The run after it, which knows everything from the one before. */
  'loop-continued-as-new': async () => {
    await ask(env.client.workflow.getHandle(workflowIds.cycle('patient', 1)), messages.approveUpdate, says('ann'));
    const loop = env.client.workflow.getHandle(workflowIds.loop('patient'));
    await eventually('it goes on', async () => (await loop.query(messages.loopStatusQuery)).finishedCycles >= 1);
    return loop;
  },
  'endpoint-continued-as-new': async () => {
    const { deploy, serves } = await startEndpoint('short');
    for (const version of [1, 2, 3]) {
      await deploy(version);
      await serves(version);
    }
    const latest = env.client.workflow.getHandle(workflowIds.endpoint('short'));
    await eventually('it goes on', async () => ((await latest.fetchHistory()).events?.length ?? 0) > 5);
    return latest;
  },
};

const workloadWorlds = new WorkloadWorlds();
const wavesOf = (workload: string) => env.client.workflow.getHandle(workloadIds.wave({ workload, key: 'k' }, 0));
const needs = { first: [], second: ['first'], third: ['second'], alone: [] };

const storiesOfWorkloads: typeof stories = {
  'workload-succeeded': async () => await ended(await workloadWorlds.start(env.client, 'good', needs)),
  /** Its first run, which ends in the one that goes on after the resume. */
  'workload-parked-and-resumed': async () => {
    const world = workloadWorlds.of('resumed');
    world.fails.add('second');
    const first = await workloadWorlds.start(env.client, 'resumed', needs);
    await eventually('parked', async () => (await first.query(workloadStatusQuery)).state === 'parked');
    world.fails.clear();
    await ask(first, resumeWorkloadUpdate, { ...says('ann'), specDigest: digestOf('spec') });
    await ended(env.client.workflow.getHandle(first.workflowId));
    return env.client.workflow.getHandle(first.workflowId, first.firstExecutionRunId);
  },
  'workload-cancelled': async () => {
    const world = workloadWorlds.of('stopped');
    world.hangs.add('first');
    const handle = await workloadWorlds.start(env.client, 'stopped', needs);
    await eventually('alone has ended', async () => world.ended.has('alone') && world.runs.includes('first'));
    await handle.cancel();
    return await ended(handle);
  },
  'wave-cancelled': async () => await ended(wavesOf('stopped')),
  'wave-skipped-what-needs-a-failed-job': async () => {
    workloadWorlds.of('broken').fails.add('second');
    await ended(await workloadWorlds.start(env.client, 'broken', needs, 'end'));
    return wavesOf('broken');
  },
  'wave-job-cancelled-alone': async () => {
    const world = workloadWorlds.of('alone');
    world.hangs.add('first');
    const handle = await workloadWorlds.start(env.client, 'alone', needs, 'end');
    await eventually('first runs', async () => world.runs.includes('first'));
    await cancelJob(env.client, 'alone/k/first');
    await ended(handle);
    return wavesOf('alone');
  },
};

const rollout: RolloutPlan = {
  ...{ canary: [10, 50], atLeastRequests: 300, atMostMs: 60_000, onTimeout: 'rollback' },
  ...{ errorRateMargin: 0.01, latencyP99Relative: 0.5, probation: null },
};

async function ended<T extends WorkflowHandle>(handle: T): Promise<T> {
  // A failure is a way to end too; what is recorded is how it came.
  await handle.result().catch(() => undefined);
  return handle;
}

const startLoop = async (loop: string) =>
  await env.client.workflow.start(retrainingLoop, {
    workflowId: workflowIds.loop(loop),
    taskQueue: taskQueues.control,
    args: [{ loop, specDigest: digestOf('spec') }],
  });

const cyclesOf = async (loop: WorkflowHandle, cycles: number) =>
  await eventually(`${cycles} cycles`, async () => {
    const status = await loop.query(messages.loopStatusQuery);
    return status.finishedCycles >= cycles && status.state !== 'running';
  });

const isParked = async (handle: WorkflowHandle, query: QueryDefinition<{ blocked: unknown }>) =>
  await eventually('parked', async () => (await handle.query(query)).blocked !== null);

const startCycle = async (loop: string) =>
  await env.client.workflow.start(retrainCycle, {
    workflowId: workflowIds.cycle(loop, 1),
    taskQueue: taskQueues.control,
    args: [{ loop, n: 1, specDigest: digestOf('spec'), reason: 'new rows', by: 'trigger', inconclusiveBefore: 0 }],
  });

const waitsFor = async (cycle: WorkflowHandle, stage: string) =>
  await eventually(stage, async () => {
    const status = await cycle.query(messages.cycleStatusQuery);
    return status.stage === stage && status.command !== null;
  });

function rollsOut(loop: string): void {
  const world = worlds.of(loop);
  world.plan = { ...world.plan, endpoint: 'mail' };
  world.cycle = { rollout };
}

async function startEndpoint(name: string) {
  const handle = await env.client.workflow.start(endpoint, {
    workflowId: workflowIds.endpoint(name),
    taskQueue: taskQueues.control,
    args: [{ endpoint: name }],
  });
  const world: World = worlds.of(name);
  const deploy = async (version: number, plan: Partial<RolloutPlan> = {}): Promise<string> => {
    const request: DeployRequest = {
      ...says(`cycle/${name}/${version}`),
      ...{ model: digestOf(`v${version}`), modelName: name, loop: name, version, approvedByPerson: false },
      ...{ plan: { ...rollout, ...plan }, replyTo: `cycle/${name}/${version}` },
    };
    await ask(handle, messages.deployUpdate, request);
    return request.requestId;
  };
  const serves = async (version: number) =>
    await eventually(`version ${version}`, async () => {
      const now = await handle.query(messages.endpointStatusQuery);
      return now.current?.version === version && !now.candidate && now.last?.outcome === 'deployed';
    });
  return { handle, world, deploy, serves };
}

const startJob = async (name: string) =>
  await env.client.workflow.start(job, {
    workflowId: workflowIds.job(`${name}/1/train`),
    taskQueue: taskQueues.control,
    args: [
      {
        ...{ key: `${name}/1/train`, specDigest: digestOf('spec'), queue: 'gpu', firstAttempt: 1 },
        resources: { gpus: 0, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 },
        maxResources: { gpus: 0, cpus: 1, memoryBytes: 4_000, timeLimitMs: 1_000 },
      },
    ],
  });

/** A history without what only says where it was made: process names, paths in stack traces. */
function anonymous(history: unknown): unknown {
  const maker = `${process.pid}@${hostname()}`;
  return JSON.parse(JSON.stringify(history).replaceAll(maker, 'recorder'), (key, value: unknown) =>
    key === 'stackTrace' ? '' : value,
  );
}

async function record(name: string, story: () => Promise<WorkflowHandle>): Promise<void> {
  const handle = await story();
  const history = anonymous(JSON.parse(historyToJSON(await handle.fetchHistory())));
  const text = `${JSON.stringify({ workflowId: handle.workflowId, history })}\n`;
  if (text.length > largestBytes) throw new Error(`${name}: ${text.length} bytes, expected at most ${largestBytes}`);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${name}.json`), text);
  console.log(`${name}: ${(history as { events: unknown[] }).events.length} events, ${text.length} bytes`);
}

async function recordAll(
  told: typeof stories,
  config: Record<string, number>,
  activities: object = worlds.activities(),
): Promise<void> {
  const missing = Object.keys(told).filter((name) => !existsSync(join(folder, `${name}.json`)));
  if (missing.length === 0) return;
  env = await startTemporal(config);
  worlds.client = env.client;
  const workers = await startWorkers(env, activities);
  try {
    for (const name of missing) await record(name, told[name]!);
  } finally {
    await workers.stop();
    await env.teardown();
  }
}

await recordAll(stories, {});
await recordAll(storiesOfShortRuns, { 'limit.historyCount.suggestContinueAsNew': 60 });
await recordAll(storiesOfWorkloads, {}, workloadWorlds.activities());
