import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../../src/client/apply.ts';
import { connect, type Goto3 } from '../../../src/client/connect.ts';
import { LoopNotApplied, NotRunning, Refused } from '../../../src/client/errors.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { workflowIds } from '../../../src/contracts/names.ts';
import { readEnvironment } from '../../../src/stack/environment.ts';
import { retrainingLoop } from '../../../src/workflows/index.ts';
import { eventually, startTemporal, startWorkers } from '../../temporal.ts';
import { digestOf, Worlds } from '../../workflows/world.ts';
import { type CliRun, documentOf, runCli } from './run-cli.ts';

const loopFile = fileURLToPath(new URL('../loop.yaml', import.meta.url));

describe('commands that ask workflows', function () {
  this.timeout(60_000);
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let home: string;
  let goto3: Goto3;
  let lonely: Promise<{ run: CliRun; tookMs: number }>;
  const worlds = new Worlds();
  const cli = async (...args: string[]): Promise<CliRun> =>
    await runCli(home, args, { TEMPORAL_ADDRESS: env.address, NO_COLOR: '1' });

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-cli-'));
    env = await startTemporal();
    worlds.client = env.client;
    const environment = readEnvironment({ GOTO3_HOME: home, TEMPORAL_ADDRESS: env.address }, home);
    goto3 = await connect({ environment, by: 'tester' });
    // A loop on a queue that nobody polls; its command waits its ten seconds while the other tests run.
    await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop('lonely'),
      taskQueue: 'nobody',
      args: [{ loop: 'lonely', specDigest: digestOf('spec') }],
    });
    const startedMs = performance.now();
    lonely = cli('loop', 'pause', 'lonely', '--reason', 'r', '--json').then((run) => ({
      run,
      tookMs: performance.now() - startedMs,
    }));
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await lonely;
    await goto3?.close();
    await workers?.stop();
    await env?.teardown();
    await rm(home, { recursive: true });
  });

  const start = async (loop: string): Promise<void> => {
    await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop(loop),
      taskQueue: 'control',
      args: [{ loop, specDigest: digestOf('spec') }],
    });
  };
  const finished = async (loop: string, cycles: number) =>
    await eventually(`${cycles} cycles of ${loop}`, async () => {
      const status = await goto3.loop(loop).status();
      return status.finishedCycles >= cycles ? status : undefined;
    });

  it('retrain, status, pause and resume say what became of the request', async () => {
    await start('asked');
    const retrain = await cli('loop', 'retrain', 'asked', '--request-id', 'ticket-1', '--json');
    assert.equal(retrain.code, 0, retrain.stderr);
    assert.deepEqual(documentOf(retrain), {
      requestId: 'ticket-1',
      cycle: 'asked/1',
      state: 'started',
      reason: 'asked by hand',
    });
    // The same id again is the same request, from whoever asks.
    const again = await goto3.loop('asked').retrain({ requestId: 'ticket-1', reason: 'again' });
    assert.equal(again.cycle, 'asked/1');
    await finished('asked', 1);
    assert.equal((await goto3.loop('asked').pause('p', 'the warehouse moves')).reason, 'paused');
    const refused = await cli('loop', 'retrain', 'asked');
    assert.deepEqual([refused.code, refused.stdout], [3, '']);
    assert.equal(refused.stderr, 'goto3: paused by tester: the warehouse moves; goto3 loop resume asked\n');
    const status = await cli('loop', 'status', 'asked');
    assert.match(status.stdout, /^state +paused$/m);
    assert.match(status.stdout, /^paused +by tester at .*: the warehouse moves$/m);
    assert.equal((await goto3.loop('asked').resume('r', 'back')).reason, 'resumed');
    assert.equal((documentOf(await cli('loop', 'status', 'asked', '--json')) as { monitor: unknown }).monitor, null);
  });

  it('a loop that nobody applied is named, with the command that starts it', async () => {
    const run = await cli('loop', 'retrain', 'nosuch', '--json');
    assert.equal(run.code, 4);
    assert.deepEqual(documentOf(run), {
      error: { type: 'LoopNotApplied', message: 'the loop nosuch is not running: goto3 apply <file> starts it' },
      exitCode: 4,
    });
  });

  it('approve by the wrong person exits with 3, by the right one with 0; status shows who is waited for', async () => {
    worlds.of('gated').cycle = { approval: { by: ['ann'], notBy: null, withinMs: 600_000, onTimeout: 'reject' } };
    await start('gated');
    await goto3.loop('gated').retrain({ requestId: 'r', reason: 'test' });
    const id = 'gated/1';
    await eventually('it waits for approval', async () => (await goto3.cycle(id).status()).stage === 'approval');
    const wrong = await cli('cycle', 'approve', id, '--reason', 'fine', '--by', 'mallory');
    assert.equal(wrong.code, 3);
    assert.equal(wrong.stderr, 'goto3: "mallory" is not one of the approvers: ann\n');
    const page = await eventually('status knows it', async () => {
      const run = await cli('status', '--json');
      const found = documentOf<{ attention: { what: string; command: string }[]; temporal: { workers: object[] } }>(
        run,
      );
      return found.attention.some(({ what }) => what === 'cycle/gated/1') ? found : undefined;
    });
    assert.match(page.attention[0]!.command, /^goto3 cycle approve gated\/1 --reason/);
    assert.deepEqual(
      page.temporal.workers.map((w) => [(w as { queue: string }).queue, (w as { workers: number }).workers]),
      [
        ['control', 1],
        ['cpu', 1],
        ['gpu', 1],
        ['hpc', 0],
      ],
    );
    const right = await cli('cycle', 'approve', id, '--reason', 'fine', '--by', 'ann');
    assert.deepEqual([right.code, right.stdout], [0, 'gated/1: taken down; the cycle goes on\n']);
    await finished('gated', 1);
    await assert.rejects(goto3.cycle(id).status(), NotRunning);
    await assert.rejects(goto3.cycle(id).cancel(), /it ended as completed/);
  });

  it('reject, and words that a cycle does not wait for, are refused or taken', async () => {
    worlds.of('turned').cycle = { approval: { by: ['ann'], notBy: null, withinMs: 600_000, onTimeout: 'reject' } };
    await start('turned');
    await goto3.loop('turned').retrain({ requestId: 'r', reason: 'test' });
    const cycle = goto3.cycle('turned/1');
    await eventually('it waits for approval', async () => (await cycle.status()).stage === 'approval');
    await assert.rejects(cycle.acceptData({ requestId: 'a', reason: 'x' }), Refused);
    await assert.rejects(cycle.retry({ requestId: 'b', reason: 'x', resources: { cpus: 2 } }), Refused);
    const ann = await connect({
      environment: readEnvironment({ GOTO3_HOME: home, TEMPORAL_ADDRESS: env.address }, home),
      by: 'ann',
    });
    assert.equal((await ann.cycle('turned/1').reject({ requestId: 'c', reason: 'worse' })).state, 'done');
    await ann.close();
    assert.equal((await finished('turned', 1)).last?.outcome, 'rejected');
  });

  it('apply creates, changes, and goes back to an earlier spec; delete ends it and its schedule', async () => {
    const file = join(home, 'loop.yaml');
    const text = (await readFile(loopFile, 'utf8')).replace(
      /^triggers:.*$/m,
      'triggers: { schedule: { cron: "0 3 * * *" } }',
    );
    const write = async (more: string) => {
      await writeFile(file, text.replace('onInconclusive: hold', `onInconclusive: ${more}`));
      return await readLoopFile(file);
    };
    const options = { by: 'tester', reason: 'test' };
    await write('hold');
    const created = await cli('apply', file, '--json');
    assert.equal(created.code, 0, created.stderr);
    const first = documentOf<{ outcome: string; effect: string; specDigest: string }>(created);
    assert.deepEqual([first.outcome, first.effect], ['created', 'started']);
    assert.equal((await applyLoop(goto3, await write('hold'), options)).outcome, 'unchanged');
    const second = await applyLoop(goto3, await write('ask'), options);
    assert.deepEqual([second.outcome, second.effect], ['updated', 'from the next cycle on']);
    assert.deepEqual(second.changes, [{ field: 'gate.onInconclusive', before: 'hold', after: 'ask' }]);
    const back = await applyLoop(goto3, await write('hold'), options);
    assert.equal(back.effect, 'from the next cycle on');
    assert.equal((await goto3.loop('spam-filter').status()).specDigest, back.specDigest);

    const unsure = await cli('loop', 'delete', 'spam-filter');
    assert.equal(unsure.code, 2);
    assert.match(unsure.stderr, /nobody can be asked here; say --yes to mean it/);
    const deleted = await cli('loop', 'delete', 'spam-filter', '--yes', '--json');
    assert.deepEqual(documentOf(deleted), { loop: 'spam-filter', deleted: true, workflow: 'ended', schedule: true });
    await assert.rejects(goto3.loop('spam-filter').status(), LoopNotApplied);
    assert.equal((await applyLoop(goto3, await write('hold'), options)).effect, 'started');
  });

  it('says within ten seconds that no worker takes the message', async () => {
    const { run, tookMs } = await lonely;
    assert.equal(run.code, 4, run.stderr);
    assert.equal(documentOf<{ error: { type: string } }>(run).error.type, 'NoWorkers');
    assert.match(run.stderr, /loop\/lonely did not answer within 10 s: is a control worker running\?/);
    // Ten seconds for the answer, the rest for the start of a process on a busy machine.
    assert.ok(tookMs < 20_000, `took ${tookMs} ms`);
  });
});
