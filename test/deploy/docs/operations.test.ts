import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { taskQueues, workflowIds } from '../../../src/contracts/names.ts';
import { inheritedEnvironment, readEnvironment } from '../../../src/stack/environment.ts';
import { findTemporalCli } from '../../../src/stack/temporal-cli.ts';
import { endpoint, retrainingLoop } from '../../../src/workflows/index.ts';
import * as messages from '../../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../../temporal.ts';
import { digestOf, Worlds } from '../../workflows/world.ts';
import { fences, readPage } from './page.ts';

/** The page's Temporal commands, one after the other, as a person would type them, on workflows that stand as it says. */
describe('docs/operations.md: the Temporal CLI', function () {
  this.timeout(60_000);
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  const lines = fences(readPage('operations.md'), 'sh')
    .flatMap((fence) => fence.split('\n'))
    .filter((line) => line.startsWith('temporal '));

  before(async () => {
    env = await startTemporal();
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
    worlds.of('spam-filter').cycle = {
      approval: { by: ['alice'], notBy: null, withinMs: 600_000, onTimeout: 'reject' },
    };
    const loop = await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop('spam-filter'),
      taskQueue: taskQueues.control,
      args: [{ loop: 'spam-filter', specDigest: digestOf('spec') }],
    });
    await env.client.workflow.start(endpoint, {
      workflowId: workflowIds.endpoint('mail'),
      taskQueue: taskQueues.control,
      args: [{ endpoint: 'mail' }],
    });
    await env.client.schedule.create({
      scheduleId: workflowIds.kick('spam-filter'),
      spec: { calendars: [{ month: 'JANUARY' }] },
      action: {
        type: 'startWorkflow',
        workflowType: 'kick',
        taskQueue: taskQueues.control,
        args: [{ loop: 'spam-filter', reason: 'r' }],
      },
    });
    await loop.executeUpdate(messages.retrainUpdate, { args: [{ requestId: 'r', reason: 'first', by: 'test' }] });
    const cycle = env.client.workflow.getHandle(workflowIds.cycle('spam-filter', 1));
    await eventually(
      'the cycle waits for approval',
      async () => (await cycle.query(messages.cycleStatusQuery)).command,
    );
    // Approved, it stays where it is: what the page types next meets a cycle that still runs.
    worlds.of('spam-filter').failsForNowAt = 'registerVersion';
    await eventually('the endpoint answers', () =>
      env.client.workflow.getHandle(workflowIds.endpoint('mail')).query(messages.endpointStatusQuery),
    );
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  it('understands every line of the page', async () => {
    const cli = await findTemporalCli(readEnvironment(), []);
    const environment = inheritedEnvironment({
      TEMPORAL_ADDRESS: env.address,
      PATH: `${dirname(cli!.path)}:${inheritedEnvironment().PATH}`,
    });
    const answers: Record<string, string> = {};
    const run = async (line: string): Promise<string> =>
      (await promisify(execFile)('bash', ['-c', line], { env: environment })).stdout;
    for (const line of lines) {
      // Visibility follows the workflow by some moments.
      const stdout = line.includes('workflow list')
        ? await eventually(line, async () => /cycle\/spam-filter\/1/.exec(await run(line))?.[0])
        : await run(line);
      const name = /--name (\w+)/.exec(line)?.[1];
      if (name && line.includes(' update ')) answers[`${line.includes('cycle/') ? 'cycle ' : ''}${name}`] = stdout;
    }
    const state = (name: string): string | undefined => /"?state"?:? *"?(\w+)/.exec(answers[name] ?? '')?.[1];
    assert.deepEqual(Object.fromEntries(Object.keys(answers).map((name) => [name, state(name)])), {
      retrain: 'queued',
      pause: 'done',
      resume: 'done',
      // The cycle waits for an approval alone: everything else is understood and turned down.
      'cycle acceptData': 'refused',
      'cycle dropData': 'refused',
      'cycle retry': 'refused',
      'cycle approve': 'done',
      'cycle reject': 'refused',
      rollback: 'refused',
      freeze: 'done',
      unfreeze: 'done',
    });
  });
});
