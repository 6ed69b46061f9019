import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../../src/client/apply.ts';
import { connect, type Goto3 } from '../../../src/client/connect.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { readEnvironment } from '../../../src/stack/environment.ts';
import { defaultRole } from '../../doubles/sagemaker/server.ts';
import { StackProcess } from '../../processes.ts';
import { awsVariables, region } from '../../support/versitygw/server.ts';
import { eventually, startTemporal } from '../../temporal.ts';
import { type SageMakerFixture, setUpSageMaker } from './fixture.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

const loopFile = (name: string, program: string) => `
apiVersion: goto3/v1
loop: ${name}
model: ${name}
data:
  program: [node, ${here('../../e2e/feed.mjs')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
train:
  program: [node, ${program}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  resources: { memory: 1GiB, time: 10m }
  runsOn: sagemaker:double
gate: { metrics: [{ metric: accuracy, floor: 0.80, margin: 5pt }] }
rollout: none
triggers: { newRows: 100 }
limits: { cycles: 1 }
`;

const targetsFile = (url: string) => `
sagemaker:
  double:
    region: ${region}
    role: ${defaultRole}
    image: goto3
    code: image
    endpoint: ${url}
    callsPerSecond: 20
    poll: { fromMs: 300, toMs: 1000 }
    instances: [{ type: ml.m5.xlarge, cpus: 4, memory: 16GiB }]
`;

/** Two clouds of points on a fixed spiral of noise: the same rows on every machine. */
const rows = (count: number): string =>
  Array.from({ length: count }, (_, n) => {
    const [kind, center] = n % 2 === 0 ? ['ham', -1] : ['spam', 1];
    const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
    return `${JSON.stringify({ id: `row-${n}`, at, kind, x: center! + Math.sin(n * 7.1), y: center! + Math.cos(n * 3.7) })}\n`;
  }).join('');

describe('a loop that trains on SageMaker, on the double', function () {
  // Five processes start, which on a loaded machine takes longer than any step of the test.
  this.timeout(200_000);
  let fixture: SageMakerFixture;
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let goto3: Goto3;
  const processes: Record<string, StackProcess> = {};
  const env = (): Record<string, string> => ({
    ...awsVariables(fixture.gatewayUrl),
    GOTO3_HOME: home,
    GOTO3_STORE: fixture.storeUrl,
    TEMPORAL_ADDRESS: temporal.address,
  });

  before(async () => {
    fixture = await setUpSageMaker();
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-sagemaker-loop-'));
    await mkdir(join(home, 'secrets'));
    await writeFile(join(home, 'secrets', 'warehouse'), 'planted-token-5e1f\n');
    await writeFile(join(home, 'targets.yaml'), targetsFile(fixture.double.url));
    for (const queue of ['control', 'cpu', 'hpc']) {
      processes[queue] = new StackProcess('main.ts', ['--queue', queue], env());
      await processes[queue].healthy().catch(failed);
    }
    goto3 = await connect({ environment: readEnvironment(env()), by: 'ann' });
  });
  const failed = (error: unknown): never => {
    tell();
    throw error;
  };
  const tell = (): void => {
    for (const [queue, { log }] of Object.entries(processes)) console.log(queue, log.slice(-15).join('\n'));
  };
  after(async () => {
    for (const child of Object.values(processes)) await child.end('SIGKILL');
    await goto3?.close();
    await temporal?.teardown();
    await fixture?.stop();
    await rm(home, { recursive: true, force: true });
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed') tell();
  });

  const apply = async (name: string, program: string): Promise<void> => {
    const folder = join(home, name);
    await mkdir(folder);
    await writeFile(join(folder, 'loop.yaml'), loopFile(name, program));
    await writeFile(join(folder, 'rows.jsonl'), rows(400));
    await applyLoop(goto3, await readLoopFile(join(folder, 'loop.yaml')), { by: 'ann', reason: 'test' });
  };
  const jobsOf = (loop: string) =>
    fixture.double.jobs.all().filter(({ input }) => input.TrainingJobName.startsWith(`${loop}-1-train-1-`));

  it('trains there once, and its model passes the gate', async () => {
    await apply('tiny', here('../../e2e/train.ts'));
    const report = await goto3.cycle('tiny/1').result({ timeoutMs: 150_000 });
    assert.equal(report.outcome, 'approved', report.detail);
    assert.deepEqual(
      jobsOf('tiny').map(({ status }) => status),
      ['Completed'],
    );
    assert.ok(!JSON.stringify(fixture.double.calls).includes('planted-token-5e1f'));
  });

  it('an hpc worker that is killed finds its job again; a cycle that is cancelled stops it', async () => {
    const program = join(home, 'hang.mjs');
    await writeFile(program, `console.log(JSON.stringify({ progress: 0.1 }));\nsetInterval(() => {}, 1000);\n`);
    await apply('hang', program);
    await eventually('the training', async () => jobsOf('hang').some(({ stage }) => stage === 'Training'), 90_000);
    await processes.hpc!.end('SIGKILL');
    processes.hpc = new StackProcess('main.ts', ['--queue', 'hpc'], env());
    await processes.hpc.healthy();
    await goto3.cycle('hang/1').cancel();
    await eventually('it is stopped', async () => jobsOf('hang').every(({ status }) => status === 'Stopped'), 90_000);
    assert.equal(jobsOf('hang').length, 1);
    assert.equal(jobsOf('hang')[0]!.starts.length, 1);
  });
});
