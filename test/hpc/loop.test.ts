import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../src/client/apply.ts';
import { localJobs } from '../../src/client/cli/local-jobs.ts';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { readLoopFile } from '../../src/client/loop-file.ts';
import { readClaim } from '../../src/jobs/local/claim.ts';
import { jobFolderOf } from '../../src/jobs/local/job-folder.ts';
import { phaseOf } from '../../src/jobs/slurm/states.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { StackProcess } from '../processes.ts';
import { type Cluster, startCluster } from '../support/slurm/cluster.ts';
import { describeSlurm } from '../support/slurm/installed.ts';
import { eventually, startTemporal } from '../temporal.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

const loopFile = (name: string, program: string) => `
apiVersion: goto3/v1
loop: ${name}
model: ${name}
data:
  program: [node, ${here('../e2e/feed.mjs')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
train:
  program: [node, ${program}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  resources: { memory: 1GiB, time: 10m }
  runsOn: slurm:lab
gate: { metrics: [{ metric: accuracy, floor: 0.80, margin: 5pt }] }
rollout: none
triggers: { newRows: 100 }
limits: { cycles: 1 }
`;

/** Two clouds of points on a fixed spiral of noise: the same rows on every machine. */
const rows = (count: number): string =>
  Array.from({ length: count }, (_, n) => {
    const [kind, center] = n % 2 === 0 ? ['ham', -1] : ['spam', 1];
    const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
    return `${JSON.stringify({ id: `row-${n}`, at, kind, x: center! + Math.sin(n * 7.1), y: center! + Math.cos(n * 3.7) })}\n`;
  }).join('');

describeSlurm('a loop whose training runs on Slurm', () => {
  let cluster: Cluster;
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let goto3: Goto3;
  const processes: Record<string, StackProcess> = {};
  const env = (): Record<string, string> => ({
    GOTO3_HOME: home,
    TEMPORAL_ADDRESS: temporal.address,
    HOME: userInfo().homedir,
    USER: userInfo().username,
  });

  before(async () => {
    cluster = await startCluster({ nodes: 1 });
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-hpc-'));
    await mkdir(join(home, 'secrets'));
    await writeFile(join(home, 'secrets', 'warehouse'), 'planted-token-5e1f\n');
    await writeFile(
      join(home, 'targets.yaml'),
      `slurm:\n  lab:\n    folder: ${cluster.shared}/jobs\n    transport: { kind: rest, url: "${cluster.restUrl}", user: ${userInfo().username}, key: { file: ${cluster.jwtKey} } }\n`,
    );
    for (const queue of ['control', 'cpu', 'hpc'])
      processes[queue] = new StackProcess('main.ts', ['--queue', queue], env());
    goto3 = await connect({ environment: readEnvironment(env()), by: 'ann' });
    for (const child of Object.values(processes)) await child.healthy();
  });
  after(async () => {
    for (const child of Object.values(processes)) await child.end('SIGKILL');
    await goto3?.close();
    await temporal?.teardown();
    await cluster?.stop();
    await rm(home, { recursive: true, force: true });
  });

  afterEach(function () {
    if (this.currentTest?.state === 'failed')
      for (const [queue, { log }] of Object.entries(processes)) console.log(queue, log.slice(-15).join('\n'));
  });

  const apply = async (name: string, program: string): Promise<void> => {
    const folder = join(home, name);
    await mkdir(folder);
    await writeFile(join(folder, 'loop.yaml'), loopFile(name, program));
    await writeFile(join(folder, 'rows.jsonl'), rows(400));
    await applyLoop(goto3, await readLoopFile(join(folder, 'loop.yaml')), { by: 'ann', reason: 'test' });
  };
  const queued = async (): Promise<string[]> =>
    (await cluster.command('squeue', '-h', '--states=all', '-o', '%j %T')).trim().split('\n').filter(Boolean);

  it('trains there once, and its model passes the gate', async () => {
    await apply('tiny', here('../e2e/train.ts'));
    const report = await goto3.cycle('tiny/1').result({ timeoutMs: 80_000 });
    assert.equal(report.outcome, 'approved', report.detail);
    assert.deepEqual(
      (await queued()).map((line) => line.split(' ')[1]),
      ['COMPLETED'],
    );
    const folder = jobFolderOf(`${cluster.shared}/jobs`, 'tiny/1/train/1');
    assert.equal((await readClaim(folder))?.claim.batchJob?.restarts, 0);
    const { ref, runner } = await localJobs(readEnvironment(env())).find('tiny/1/train');
    assert.equal(ref.runner, 'slurm');
    assert.equal((await runner.describe(ref)).state, 'succeeded');
  });

  it('an hpc worker that is killed finds its job again; a cycle that is cancelled ends it in Slurm', async () => {
    const program = join(home, 'hang.mjs');
    await writeFile(program, `console.log(JSON.stringify({ progress: 0.1 }));\nsetInterval(() => {}, 1000);\n`);
    await apply('hang', program);
    const folder = jobFolderOf(`${cluster.shared}/jobs`, 'hang/1/train/1');
    const running = async (): Promise<string | undefined> =>
      await readFile(folder.program, 'utf8').catch(() => undefined);
    const first = await eventually('the program', running, 60_000);
    await processes.hpc!.end('SIGKILL');
    processes.hpc = new StackProcess('main.ts', ['--queue', 'hpc'], env());
    await processes.hpc.healthy();
    assert.equal(await running(), first);
    await goto3.cycle('hang/1').cancel();
    await eventually(
      'Slurm to have nothing that lives',
      async () => (await queued()).every((line) => phaseOf([line.split(' ')[1]!]) === 'ended'),
      60_000,
    );
    const exit = JSON.parse(await readFile(folder.exit, 'utf8')) as { state: string };
    assert.equal(exit.state, 'cancelled', JSON.stringify(exit));
    assert.equal((await queued()).length, 2);
  });
});
