import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { submitWorkload, WorkloadHandle } from '../../src/client/workload.ts';
import { readWorkloadFile } from '../../src/client/workload-file.ts';
import { FileListDocument, WorkloadJobEnd } from '../../src/contracts/workload-documents.ts';
import { workloadRefs } from '../../src/contracts/workload-names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { getJson } from '../../src/store/manifests.ts';
import { StackProcess } from '../processes.ts';
import { type Cluster, startCluster } from '../support/slurm/cluster.ts';
import { describeSlurm } from '../support/slurm/installed.ts';
import { eventually, startTemporal } from '../temporal.ts';

const examples = fileURLToPath(new URL('../../examples', import.meta.url));

describeSlurm('workloads on Slurm', () => {
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
  const startHpc = async (): Promise<void> => {
    processes.hpc = new StackProcess('main.ts', ['--queue', 'hpc'], env());
    await processes.hpc.healthy();
  };

  before(async () => {
    cluster = await startCluster({ nodes: 2 });
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-workload-'));
    await writeFile(
      join(home, 'targets.yaml'),
      `slurm:\n  lab:\n    folder: ${cluster.shared}/jobs\n    transport: { kind: cli, conf: ${cluster.conf} }\n    poll: { fromMs: 300, toMs: 2000 }\n`,
    );
    processes.control = new StackProcess('main.ts', ['--queue', 'control'], env());
    goto3 = await connect({ environment: readEnvironment(env()), by: 'ann' });
    await processes.control.healthy();
    await startHpc();
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

  const word = { by: 'ann', reason: 'test', requestId: 'r1' };
  const submit = async (folder: string, key = 'k1') => {
    const content = await readWorkloadFile(join(folder, 'workload.yaml'));
    const submitted = await submitWorkload(goto3, content, { key, by: 'ann', reason: 'test' });
    return new WorkloadHandle(goto3, `${submitted.workload}/${submitted.key}`);
  };
  const write = async (name: string, jobs: string, more = ''): Promise<string> => {
    const folder = join(home, name);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'workload.yaml'),
      `apiVersion: goto3/v1\nworkload: ${name}\nrunsOn: slurm:lab\n${more}jobs:\n${jobs}`,
    );
    return folder;
  };
  const endOf = async (handle: WorkloadHandle, job: string): Promise<WorkloadJobEnd> => {
    const ref = await goto3.store.refs.read(workloadRefs.end(handle.run, job));
    assert.ok(ref, `${job} has no end`);
    return await getJson(goto3.store, WorkloadJobEnd, ref.digest);
  };
  const outputOf = async (handle: WorkloadHandle, job: string, path: string): Promise<string> => {
    const { output } = await endOf(handle, job);
    const file = (await getJson(goto3.store, FileListDocument, output!)).find((one) => one.path === path);
    return Buffer.from(await goto3.store.blobs.read(file!.digest)).toString();
  };
  const parked = (handle: WorkloadHandle) =>
    eventually(
      'it parks',
      async () => {
        const status = await handle.status();
        return status.state === 'parked' && status;
      },
      60_000,
    );
  const onSlurm = async (example: string): Promise<string> => {
    const folder = join(home, example);
    await cp(join(examples, example), folder, { recursive: true });
    const file = join(folder, 'workload.yaml');
    await writeFile(file, (await readFile(file, 'utf8')).replace('runsOn: local', 'runsOn: slurm:lab'));
    return folder;
  };

  it('prices an option by an array, and finds Black and Scholes within four standard errors', async () => {
    const folder = await onSlurm('option-pricing');
    const handle = await submit(folder);
    assert.equal(
      (
        await submitWorkload(goto3, await readWorkloadFile(join(folder, 'workload.yaml')), {
          key: 'k1',
          by: 'bob',
          reason: 'again',
        })
      ).outcome,
      'found',
    );
    const result = await handle.result();
    assert.deepEqual([result.state, result.succeeded], ['succeeded', 3], JSON.stringify(result.failures));
    const price = JSON.parse(await outputOf(handle, 'reduce', 'price.json')) as Record<string, number>;
    assert.equal(price.tasks, 16);
    assert.equal(price.paths, 16_000_000);
    assert.ok(Math.abs(price.blackScholes! - 8.021352) < 1e-6);
    assert.ok(Math.abs(price.price! - price.blackScholes!) < 4 * price.standardError!);
    assert.equal((await handle.report())?.state, 'succeeded');
  });

  it('solves the heat equation by an #SBATCH script as it is, with two ranks of Open MPI', async () => {
    const handle = await submit(await onSlurm('heat-equation'));
    const result = await handle.result();
    assert.equal(result.state, 'succeeded', JSON.stringify(result.failures));
    const heat = JSON.parse(await outputOf(handle, 'heat', 'heat.json')) as Record<string, number>;
    // With Open MPI (scripts/ensure-slurm.sh), one rank a task of the script.
    assert.equal(heat.ranks, 2);
    assert.ok(heat.largestError! > 0 && heat.largestError! < heat.bound!);
  });

  it('parks on a user error, and a resume runs only the tasks that failed and what needs them', async () => {
    const folder = await write(
      'resumed',
      `  first: { run: [sh, -c, 'echo run >> runs-first; echo 7 > "$SM_OUTPUT_DATA_DIR/n"'], outputs: [n] }
  each:
    run: [sh, -c, 'echo run >> runs-$0; test -e repaired || test $0 != 2 || exit 3; cat "$1/n" > "$SM_OUTPUT_DATA_DIR/n"', "\${task}", "\${first.outputs}"]
    needs: { first: succeeded }
    array: 1-3
    outputs: [n]
  sum: { run: [sh, -c, 'cat "$0"/*/n > "$SM_OUTPUT_DATA_DIR/all"', "\${each.outputs}"], needs: { each: succeeded }, outputs: [all] }
`,
    );
    const handle = await submit(folder);
    const { counts, failures, command } = await parked(handle);
    assert.deepEqual(counts, { succeeded: 1, failed: 1, cancelled: 0, skipped: 1 });
    assert.deepEqual([failures[0]?.job, failures[0]?.failureClass], ['each', 'userError']);
    assert.match(command!, /goto3 workload resume resumed\/k1/);
    await writeFile(join(folder, 'repaired'), '');
    assert.equal((await handle.resume(word)).state, 'started');
    assert.equal((await handle.resume(word)).state, 'started', 'asking twice is asking once');
    const result = await handle.result();
    assert.equal(result.state, 'succeeded', JSON.stringify(result.failures));
    const runs = await Promise.all(
      ['first', '1', '2', '3'].map(
        async (name) => (await readFile(join(folder, `runs-${name}`), 'utf8')).split('\n').length - 1,
      ),
    );
    assert.deepEqual(runs, [1, 1, 2, 1]);
    assert.equal(await outputOf(handle, 'sum', 'all'), '7\n7\n7\n');
  });

  it('a cancel leaves nothing in Slurm, also with the hpc worker killed meanwhile; a resume goes on', async () => {
    const folder = await write(
      'cancelled',
      `  quick: { run: [sh, -c, 'echo run >> runs-quick'] }
  slow: { run: [sh, -c, 'echo run >> runs-slow; while [ ! -e go ]; do sleep 0.1; done'], needs: { quick: succeeded } }
`,
    );
    const handle = await submit(folder);
    await eventually('slow runs', () => readFile(join(folder, 'runs-slow'), 'utf8'), 60_000);
    await processes.hpc!.end('SIGKILL');
    await startHpc();
    await handle.cancel();
    await assert.rejects(handle.result());
    assert.equal((await cluster.command('squeue', '--me', '-h', '-t', 'PD,R,CG')).trim(), '');
    assert.equal((await endOf(handle, 'slow')).state, 'cancelled');
    await writeFile(join(folder, 'go'), '');
    await handle.resume({ ...word, requestId: 'r2' });
    assert.equal((await handle.result()).state, 'succeeded');
    assert.deepEqual(
      await Promise.all(['quick', 'slow'].map((name) => readFile(join(folder, `runs-${name}`), 'utf8'))),
      ['run\n', 'run\nrun\n'],
    );
  });

  it("parks an array that is larger than the cluster's MaxArraySize, and says what to change", async () => {
    const { failures } = await parked(await submit(await write('wide', '  all: { run: ["true"], array: 0-1001 }\n')));
    assert.equal(failures[0]?.failureClass, 'userError');
    assert.match(failures[0].reason, /Invalid job array.* tasks are 0-1001, .*MaxArraySize .*: split the array/);
  });

  it('goes to the next partition when the first has no room in time', async () => {
    await cluster.command('scontrol', 'update', 'partitionname=spot', 'state=down');
    const folder = await write(
      'fallback',
      `  job: { run: [sh, -c, 'echo $SLURM_JOB_PARTITION > "$SM_OUTPUT_DATA_DIR/where"'], outputs: [where], partitions: [spot, ondemand], startWithin: 2s }\n`,
    );
    const handle = await submit(folder);
    const result = await handle.result();
    await cluster.command('scontrol', 'update', 'partitionname=spot', 'state=up');
    assert.equal(result.state, 'succeeded', JSON.stringify(result.failures));
    assert.equal(await outputOf(handle, 'job', 'where'), 'ondemand\n');
    assert.equal((await endOf(handle, 'job')).lastAttempt, 2);
  });

  it('starts one process a task over two nodes, and knows all hosts', async () => {
    const folder = await write(
      'nodes',
      `  ranks:
    run: [sh, -c, 'echo "$SLURM_PROCID $SLURMD_NODENAME $SM_HOSTS" > "$0/rank-$SLURM_PROCID"', "\${output}"]
    launcher: srun
    outputs: [rank-0, rank-1, rank-2, rank-3]
    resources: { nodes: 2, tasks: 4 }
`,
    );
    const handle = await submit(folder);
    const result = await handle.result();
    assert.equal(result.state, 'succeeded', JSON.stringify(result.failures));
    const ranks = await Promise.all([0, 1, 2, 3].map((n) => outputOf(handle, 'ranks', `rank-${n}`)));
    assert.deepEqual(new Set(ranks.map((line) => line.split(' ')[1])), new Set(['n1', 'n2']));
    assert.ok(
      ranks.every((line) => line.includes('["n1","n2"]')),
      ranks.join(''),
    );
  });
});
