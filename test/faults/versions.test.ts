import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Worker, type WorkflowBundle } from '@temporalio/worker';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { inheritedEnvironment, readEnvironment } from '../../src/stack/environment.ts';
import { findTemporalCli } from '../../src/stack/temporal-cli.ts';
import { deploymentOptions } from '../../src/workers/deployment.ts';
import { workflowsPath } from '../../src/workers/workflow-bundle.ts';
import { type retrainCycle, retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { fences, readPage } from '../deploy/docs/page.ts';
import { StackProcess } from '../processes.ts';
import { eventually, startTemporal, workflowBundle } from '../temporal.ts';
import { digestOf, Worlds } from '../workflows/world.ts';

const loop = 'spam-filter';

/** The next build: cycles have one more step, and both say another word. */
function changed(code: string): string {
  const replace = (text: string, from: RegExp, to: string): string => {
    assert.match(text, from);
    return text.replace(from, to);
  };
  // A timer before the first activity: a cycle that began without it cannot go on with this code.
  const slower = replace(
    code,
    /plan = await ([^;]*beginCycle[^;]*;)/,
    'await new Promise((go) => setTimeout(go, 1)); plan = await $1',
  );
  return replace(
    replace(slower, /(version \$\{version\} is approved)`/, '$1 by v2`'),
    /'last cycle'/,
    "'last cycle by v2'",
  );
}

let bundle: Promise<WorkflowBundle> | undefined;
const versionedBundle = (): Promise<WorkflowBundle> => {
  bundle ??= bundleWorkflowCode({
    workflowsPath: workflowsPath({ versioned: true }),
    payloadConverterPath: new URL('../../src/workflows/payload-converter.ts', import.meta.url).pathname,
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
};

/** Like docs/versions.md: its commands, in its order, while a cycle is parked. */
describe('docs/versions.md: new code under a running loop', function () {
  this.timeout(120_000);
  let env: TestWorkflowEnvironment;
  let cli: string;
  const worlds = new Worlds();
  const running: { worker: Worker; run: Promise<void> }[] = [];
  const lines = fences(readPage('versions.md'), 'sh')
    .flatMap((fence) => fence.split('\n'))
    .filter((line) => line.startsWith('temporal '));

  before(async () => {
    env = await startTemporal({
      'matching.wv.VersionDrainageStatusVisibilityGracePeriod': '"1s"',
      'matching.wv.VersionDrainageStatusRefreshInterval': '"1s"',
    });
    worlds.client = env.client;
    cli = (await findTemporalCli(readEnvironment(), []))!.path;
  });
  after(async () => {
    for (const { worker } of running) worker.shutdown();
    await Promise.all(running.map(({ run }) => run));
    await env?.teardown();
  });

  const startBuild = async (buildId: string | undefined, code: string): Promise<void> => {
    for (const taskQueue of [taskQueues.control, taskQueues.cpu, taskQueues.gpu]) {
      const worker = await Worker.create({
        ...{ connection: env.nativeConnection, namespace: env.namespace ?? 'default', taskQueue },
        ...{ activities: worlds.activities(), maxHeartbeatThrottleInterval: '100ms' },
        ...(taskQueue === taskQueues.control && { workflowBundle: { code } }),
        ...deploymentOptions(buildId),
      });
      running.push({ worker, run: worker.run() });
    }
  };
  const type = async (line: string | undefined): Promise<string> => {
    const words = [...line!.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
    const shell = { ...inheritedEnvironment(), TEMPORAL_ADDRESS: env.address };
    return (await promisify(execFile)(cli, words.slice(1), { timeout: 20_000, env: shell })).stdout;
  };
  /** A version is known a moment after its workers began to poll. */
  const typeUntilDone = (line: string | undefined): Promise<string> =>
    eventually(line!, () => type(line).then((said) => said || 'done'), 30_000);
  const line = (text: string): string => {
    const found = lines.find((candidate) => candidate.includes(text));
    assert.ok(found, `docs/versions.md has no command with ${text}`);
    return found;
  };
  const current = (buildId: string): string =>
    line(`set-current-version --deployment-name goto3 --build-id ${buildId} `);

  const buildOf = async (workflowId: string): Promise<string | null | undefined> => {
    const { raw } = await env.client.workflow.getHandle(workflowId).describe();
    return raw.workflowExecutionInfo?.versioningInfo?.deploymentVersion?.buildId;
  };
  const cycle = (n: number) => env.client.workflow.getHandle<typeof retrainCycle>(workflowIds.cycle(loop, n));
  const request = (requestId: string) => ({ requestId, reason: 'because', by: 'alice' });
  const retrain = async (id: string) =>
    await env.client.workflow
      .getHandle(workflowIds.loop(loop))
      .executeUpdate(messages.retrainUpdate, { args: [request(id)] });
  const loopPage = async (): Promise<string> => {
    const metadata = await env.client.workflow
      .getHandle(workflowIds.loop(loop))
      .query<{ currentDetails?: string }>('__temporal_workflow_metadata');
    return metadata.currentDetails ?? '';
  };

  const problems = [{ check: 'labelDisagreement', slice: 'a=b', rows: 40, message: '60 % disagree' }] as const;

  it('a loop from before versions were turned on goes on with the first one', async () => {
    await startBuild(undefined, (await workflowBundle()).code);
    const elder = await env.client.workflow.start(retrainingLoop, {
      ...{ workflowId: workflowIds.loop('elder'), taskQueue: taskQueues.control },
      args: [{ loop: 'elder', specDigest: digestOf('spec') }],
    });
    await eventually(
      'the loop is idle',
      async () => (await elder.query(messages.loopStatusQuery)).state === 'idle',
      20_000,
    );
    for (const { worker, run } of running.splice(0)) {
      worker.shutdown();
      await run;
    }
    await startBuild('v1', (await versionedBundle()).code);
    await typeUntilDone(current('v1'));
    await elder.executeUpdate(messages.retrainUpdate, { args: [request('e1')] });
    const first = env.client.workflow.getHandle<typeof retrainCycle>(workflowIds.cycle('elder', 1));
    await eventually(
      'its cycle ends',
      async () => {
        const { status } = await first.describe();
        return status.name === 'COMPLETED';
      },
      30_000,
    );
    assert.deepEqual([await buildOf(elder.workflowId), await buildOf(first.workflowId)], ['v1', 'v1']);
  });

  it('a cycle parks on the first build', async () => {
    worlds.of(loop).problems = [...problems];
    await env.client.workflow.start(retrainingLoop, {
      ...{ workflowId: workflowIds.loop(loop), taskQueue: taskQueues.control },
      args: [{ loop, specDigest: digestOf('spec') }],
    });
    await retrain('r1');
    await eventually('the cycle parks', async () => (await cycle(1).query(messages.cycleStatusQuery)).command, 20_000);
    assert.deepEqual([await buildOf(workflowIds.loop(loop)), await buildOf(workflowIds.cycle(loop, 1))], ['v1', 'v1']);
  });

  it('the loop moves to the next one with its next task, the cycle stays', async () => {
    await startBuild('v2', changed((await versionedBundle()).code));
    await typeUntilDone(current('v2'));
    assert.match(await type(line('deployment describe --name')), /v2/);
    assert.equal((await retrain('r2')).state, 'queued');
    await eventually('the loop is on v2', async () => (await buildOf(workflowIds.loop(loop))) === 'v2');
    assert.match(await loopPage(), /last cycle by v2/);
    assert.equal(await buildOf(workflowIds.cycle(loop, 1)), 'v1');
    assert.match(await type(line('describe-version')), /[Dd]raining/);
    assert.match(await type(line('workflow list')), /cycle\/spam-filter\/1/);
  });

  it('the cycle ends on its own build, and the next one begins on the current one', async () => {
    worlds.of(loop).problems = [];
    await cycle(1).executeUpdate(messages.acceptDataUpdate, { args: [request('a1')] });
    assert.equal((await cycle(1).result()).detail, 'version 1 is approved');
    assert.equal(await buildOf(workflowIds.cycle(loop, 1)), 'v1');
    const second = await eventually('the second cycle ends', () => cycle(2).result(), 20_000);
    assert.equal(second.detail, 'version 2 is approved by v2');
    await eventually('v1 has drained', async () => /drained/i.test(await type(line('describe-version'))), 40_000);
  });

  it('is rolled back with one command', async () => {
    await type(current('v1'));
    await eventually('the loop is idle', async () => /2: approved/.test(await loopPage()), 20_000);
    await retrain('r3');
    const third = await eventually('the third cycle ends', () => cycle(3).result(), 20_000);
    assert.equal(third.detail, 'version 3 is approved');
    assert.equal(await buildOf(workflowIds.loop(loop)), 'v1');
    assert.doesNotMatch(await loopPage(), /last cycle by v2/);
  });

  it('a parked cycle can be told to follow the current version', async () => {
    worlds.of(loop).problems = [...problems];
    await retrain('r4');
    await eventually('the cycle parks', async () => (await cycle(4).query(messages.cycleStatusQuery)).command, 20_000);
    await type(line('update-options'));
    const { raw } = await cycle(4).describe();
    assert.ok(raw.workflowExecutionInfo?.versioningInfo?.versioningOverride);
    await cycle(4).executeUpdate(messages.acceptDataUpdate, { args: [request('a4')] });
    assert.equal((await cycle(4).result()).outcome, 'approved');
  });

  it('a worker process takes its build id from GOTO3_BUILD_ID', async () => {
    const home = await mkdtemp(join(tmpdir(), 'goto3-versions-'));
    const worker = new StackProcess('main.ts', ['--queue', 'control'], {
      ...{ GOTO3_HOME: home, TEMPORAL_ADDRESS: env.address, GOTO3_BUILD_ID: 'v3' },
    });
    try {
      await worker.healthy();
      await eventually('v3 is known', async () => /v3/.test(await type(line('deployment describe --name'))), 20_000);
    } finally {
      await worker.end('SIGTERM');
      await rm(home, { recursive: true, force: true });
    }
  });
});
