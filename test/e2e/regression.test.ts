import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../src/client/apply.ts';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { readLoopFile } from '../../src/client/loop-file.ts';
import { replayVerdict } from '../../src/client/replay-verdict.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { StackProcess } from '../processes.ts';
import { eventually, startTemporal } from '../temporal.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

const loopFile = `
apiVersion: goto3/v1
loop: prices
model: prices
data:
  program: [node, ${here('feed.mjs')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  task: regression
  columns: { id: id, time: at, label: price, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
train:
  program: [node, ${here('train-regression.ts')}]
  resources: { memory: 1GiB, time: 1m }
evaluate:
  program: [node, ${here('evaluate.ts')}]
  hyperparameters: { tooLow: 3 }
quantize: { int8: dynamic, worseBy: 5% }
gate:
  metrics:
    - { metric: cost, direction: lower, ceiling: 1, margin: 0.1 }
    - { metric: rmse, ceiling: 1, worseBy: 10% }
    - { metric: r2, floor: 0.5 }
    - { metric: latencyP99, ceiling: 1s }
rollout: none
triggers: { newRows: 100 }
limits: { cyclesPerDay: 100 }
`;

/** The truth is 2·x + 1, and noise that repeats. */
const row = (n: number): string => {
  const x = ((n * 37) % 101) / 10;
  const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
  return `${JSON.stringify({ id: `row-${n}`, at, price: 2 * x + 1 + ((n % 9) - 4) / 10, x, y: n / 1_000 })}\n`;
};

describe('a regression loop with an evaluation program, end to end', function () {
  this.timeout(180_000);
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let loopFolder: string;
  let goto3: Goto3;
  const processes: StackProcess[] = [];

  before(async () => {
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-e2e-'));
    loopFolder = join(home, 'loop');
    for (const folder of [loopFolder, join(home, 'secrets')]) await mkdir(folder);
    await writeFile(join(home, 'secrets', 'warehouse'), 'nothing secret');
    await writeFile(join(loopFolder, 'loop.yaml'), loopFile);
    await writeFile(join(loopFolder, 'rows.jsonl'), Array.from({ length: 500 }, (_, n) => row(n)).join(''));
    const env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
    for (const queue of ['control', 'cpu', 'gpu']) processes.push(new StackProcess('main.ts', ['--queue', queue], env));
    goto3 = await connect({ environment: readEnvironment(env), by: 'ann' });
    for (const child of processes) await child.healthy();
  });
  after(async () => {
    for (const child of processes) await child.end('SIGKILL');
    await goto3?.close();
    await temporal?.teardown();
    await rm(home, { recursive: true, force: true });
  });

  it('parks when the program leaves a row out, with its last lines, and goes on when it is repaired', async () => {
    await writeFile(join(loopFolder, 'half-a-row'), '');
    await applyLoop(goto3, await readLoopFile(join(loopFolder, 'loop.yaml')), { by: 'ann', reason: 'test' });
    const cycle = goto3.cycle('prices/1');
    const parked = await eventually(
      'it is parked',
      async () => {
        const status = await cycle.status().catch(() => undefined);
        return status?.stage === 'parked' ? status : undefined;
      },
      60_000,
    );
    assert.match(
      parked.waitsFor,
      /the evaluation failed: .*outcomes\.jsonl: 1 of \d+ rows are missing.*its last lines: scoring the hold-out/s,
    );
    assert.match(
      parked.command!,
      /goto3 cycle retry prices\/1 .*\ngoto3 job logs prices\/1\/evaluate\/[0-9a-f]{16}\/1/,
    );
    assert.equal(await goto3.store.refs.read(refNames.champion('prices')), undefined);
    await rm(join(loopFolder, 'half-a-row'));
    await cycle.retry({ requestId: 'repaired', reason: 'repaired' });
    const report = await cycle.result({ timeoutMs: 60_000 });
    assert.equal(report.outcome, 'approved', report.detail);
    assert.deepEqual([report.verdictResult, report.version], ['pass', 1]);
    assert.ok(report.metrics!.cost!.value! > 0 && report.metrics!.cost!.upper! < 1, JSON.stringify(report.metrics));
    assert.ok(report.metrics!.worst!.value! > report.metrics!.cost!.value!);
    assert.ok(report.metrics!.r2!.value! > 0.99);
    assert.ok(report.phasesMs.evaluation! > 0 && report.phasesMs.training! > 0);
    assert.ok((await replayVerdict(goto3.store, report.verdict as Digest)).equal);
  });

  it('scores candidate and champion on the same rows by the same program', async () => {
    await appendFile(join(loopFolder, 'rows.jsonl'), Array.from({ length: 200 }, (_, n) => row(500 + n)).join(''));
    await goto3.loop('prices').newData(200);
    const report = await goto3.cycle('prices/2').result({ timeoutMs: 90_000 });
    assert.equal(report.outcome, 'approved', report.detail);
    const { verdict, evaluations } = await getManifest(goto3.store, report.verdict as Digest, 'Verdict');
    assert.deepEqual(
      verdict.bounds.map(({ metric, against }) => `${metric} ${against}`),
      ['cost ceiling', 'cost champion', 'rmse ceiling', 'rmse champion', 'r2 floor', 'latencyP99 ceiling'],
    );
    const programs = await Promise.all(evaluations.map((e) => getManifest(goto3.store, e as Digest, 'Evaluation')));
    for (const { program } of programs) assert.match(program!.job, /^prices\/2\/evaluate\/[0-9a-f]{16}\/1$/);
    assert.equal(new Set(programs.map(({ program }) => program!.job)).size, programs.length, 'a job for each model');
    const jobs = [];
    for await (const { workflowId } of temporal.client.workflow.list({ query: 'WorkflowType = "job"' }))
      jobs.push(workflowId);
    assert.ok(jobs.every((id) => id.startsWith(workflowIds.job('prices/'))));
  });
});
