import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../src/client/apply.ts';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { readLoopFile } from '../../src/client/loop-file.ts';
import { replayVerdict } from '../../src/client/replay-verdict.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import type { CycleReport } from '../../src/contracts/manifests.ts';
import { refNames } from '../../src/contracts/names.ts';
import { hasVariable, readProcesses } from '../../src/jobs/local/processes.ts';
import type { RunningEndpoint } from '../../src/serving/endpoint/main.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { lineage } from '../../src/store/lineage.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { StackProcess } from '../processes.ts';
import { invoke, Load } from '../serving/client.ts';
import { collect } from '../store/samples.ts';
import { eventually, startTemporal } from '../temporal.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const token = 'planted-token-9f2c6b';

const loopFile = `
apiVersion: goto3/v1
loop: tiny
model: tiny
data:
  program: [node, ${here('feed.mjs')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
  slices: [half]
train:
  program: [node, ${here('train.ts')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  resources: { memory: 1GiB, time: 1m }
quantize: { int8: dynamic, margin: 5pt }
gate:
  metrics:
    - { metric: accuracy, floor: 0.80, margin: 5pt }
    - { metric: latencyP99, ceiling: 1s }
rollout:
  endpoint: tiny
  canary: [50%]
  each: { atLeast: 30 requests, atMost: 1m, onTimeout: rollback }
  rollbackOn: { errorRate: +5pt, latencyP99: +1000% }
triggers: { newRows: 100 }
limits: { cyclesPerDay: 100 }
notify: { on: [parked, rolledBack], webhook: { secret: warehouse } }
`;

/** Two clouds of points, from a linear congruential generator: the same rows on every machine. */
function* corpus(): Generator<{ id: string; at: string; kind: string; x: number; y: number; half: string }> {
  let seed = 7;
  const uniform = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const around = (center: number): number => center + (uniform() + uniform() + uniform() - 1.5) * 1.6;
  for (let n = 0; ; n += 1) {
    const kind = n % 2 === 0 ? 'ham' : 'spam';
    const center = kind === 'ham' ? -1 : 1;
    const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
    yield { id: `row-${n}`, at, kind, x: around(center), y: around(center), half: n % 3 === 0 ? 'a' : 'b' };
  }
}

/** Contents of all files below a folder, by path. */
async function filesBelow(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name);
      files.set(path, await readFile(path));
    }
  return files;
}

describe('the loop, end to end', function () {
  this.timeout(180_000);
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let loopFolder: string;
  let goto3: Goto3;
  const processes: Record<string, StackProcess> = {};
  const rows = corpus();
  const take = (count: number) => Array.from({ length: count }, () => rows.next().value!);
  const deliver = async (values: readonly object[]): Promise<void> => {
    await appendFile(join(loopFolder, 'rows.jsonl'), values.map((value) => `${JSON.stringify(value)}\n`).join(''));
    await goto3.loop('tiny').newData(values.length);
  };

  before(async () => {
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-e2e-'));
    loopFolder = join(home, 'loop');
    for (const folder of [loopFolder, join(home, 'secrets')]) await mkdir(folder);
    await writeFile(join(home, 'secrets', 'warehouse'), `${token}\n`);
    await writeFile(join(loopFolder, 'loop.yaml'), loopFile);
    await writeFile(join(loopFolder, 'rows.jsonl'), '');
    const env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
    for (const queue of ['control', 'cpu', 'gpu'])
      processes[queue] = new StackProcess('main.ts', ['--queue', queue], env);
    processes.endpoint = new StackProcess('endpoint.ts', ['--endpoint', 'tiny', '--port', '0'], env);
    goto3 = await connect({ environment: readEnvironment(env), by: 'ann' });
    for (const child of Object.values(processes)) await child.healthy();
  });
  after(async () => {
    for (const child of Object.values(processes)) await child.end('SIGKILL');
    await goto3?.close();
    await temporal?.teardown();
    await rm(home, { recursive: true, force: true });
  });

  const reports: CycleReport[] = [];
  const reportOf = async (n: number): Promise<CycleReport> => {
    const report = await goto3.cycle(`tiny/${n}`).result({ timeoutMs: 60_000 });
    reports.push(report);
    return report;
  };
  const endpointUrl = async (): Promise<{ url: string }> => ({ url: (await processes.endpoint!.started()).url! });
  const champion = async () => await goto3.store.refs.read(refNames.champion('tiny'));

  it('trains on the first data and deploys what passes the floor', async () => {
    await appendFile(
      join(loopFolder, 'rows.jsonl'),
      take(400)
        .map((row) => `${JSON.stringify(row)}\n`)
        .join(''),
    );
    const content = await readLoopFile(join(loopFolder, 'loop.yaml'));
    await applyLoop(goto3, content, { by: 'ann', reason: 'test' });
    const report = await reportOf(1);
    assert.equal(report.outcome, 'deployed', report.detail);
    assert.deepEqual([report.reason, report.version, report.verdictResult], ['400 new rows', 1, 'pass']);
    const answer = await invoke(await endpointUrl(), { x: 3, y: 3 });
    assert.deepEqual([answer.status, answer.predictions[0]?.label], [200, 'spam']);
    assert.equal((await champion())?.digest, report.candidate);
  });

  it('takes the next version through a canary under traffic', async () => {
    const fresh = take(200);
    const url = await endpointUrl();
    for (const { id, x, y } of fresh) await invoke(url, { x, y }, { 'x-amzn-sagemaker-inference-id': id });
    const load = new Load(url as RunningEndpoint, 2, (i) => ({ x: (i % 7) - 3, y: 1 }));
    try {
      await deliver(fresh);
      const report = await reportOf(2);
      assert.equal(report.outcome, 'deployed', report.detail);
      assert.equal(report.version, 2);
      assert.ok(report.phasesMs.rollout! > 0 && report.phasesMs.training! > 0, JSON.stringify(report.phasesMs));
      assert.ok((report.championMetrics?.accuracy?.value ?? 0) > 0.8, 'the champion was scored on the same rows');
      const deployment = await getManifest(goto3.store, report.deployment!, 'Deployment');
      assert.ok(deployment.steps[0]!.candidateRequests >= 30);
    } finally {
      await load.stop();
    }
    assert.deepEqual(load.failures, []);
    assert.ok(
      load.replies.every(({ status }) => status === 200),
      'no request failed while versions changed',
    );
  });

  it('keeps the champion when labels turn to noise', async () => {
    const before = await champion();
    // Every third label is wrong: no line tells them apart, and the hold-out has them too.
    await deliver(take(400).map((row, i) => (i % 3 === 0 ? row : { ...row, kind: i % 2 === 0 ? 'spam' : 'ham' })));
    const report = await reportOf(3);
    assert.equal(report.outcome, 'failedGate', report.detail);
    assert.equal(report.verdictResult, 'fail');
    assert.deepEqual(await champion(), before);
  });

  it('leaves reports, versions, champion and lineage in the store, and verdicts that can be replayed', async () => {
    const { store } = goto3;
    const names = async (name: string) =>
      (await collect(store.refs.history(name))).map(({ digest }) => digest).reverse();
    assert.deepEqual(
      await Promise.all(
        (await names(refNames.reports('tiny'))).map((digest) => getManifest(store, digest, 'CycleReport')),
      ),
      reports,
    );
    assert.deepEqual(
      await names(refNames.versions('tiny')),
      reports.slice(0, 2).map(({ candidate }) => candidate),
    );
    assert.deepEqual(
      await names(refNames.champion('tiny')),
      reports.slice(0, 2).map(({ candidate }) => candidate),
    );
    assert.equal((await names(refNames.cycles('tiny'))).length, 3);
    assert.deepEqual(
      await names(refNames.dataset('tiny')),
      reports.map(({ dataset }) => dataset),
    );

    const walked = await collect(lineage(store, reports[1]!.deployment as Digest));
    const kinds = new Set(walked.map(({ kind }) => kind));
    for (const kind of ['Deployment', 'Model', 'Run', 'Dataset'] as const) assert.ok(kinds.has(kind), `no ${kind}`);
    assert.ok(
      walked.every((item) => 'parents' in item),
      'nothing is missing',
    );
    assert.ok(
      walked.some(({ digest }) => digest === reports[0]!.dataset),
      'it reaches back to the first data',
    );

    for (const { verdict, phasesMs, startedAt, endedAt } of reports) {
      assert.ok((await replayVerdict(store, verdict as Digest)).equal);
      const total = Object.values(phasesMs).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(total - (Date.parse(endedAt) - Date.parse(startedAt))) < 2);
    }
    const { problems, blobs } = await verifyStore(await openStore(store.url));
    assert.deepEqual(problems, []);
    assert.ok(blobs > 30);
  });

  it('lets its secret into no history, no store, no job folder and no log', async () => {
    const needle = Buffer.from(token);
    for await (const { workflowId, runId } of temporal.client.workflow.list()) {
      const { events } = await temporal.client.workflow.getHandle(workflowId, runId).fetchHistory();
      const text = JSON.stringify(events, (key, value: unknown) =>
        key === 'data' && typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : value,
      );
      assert.ok(/specDigest|endpoint/.test(text), `${workflowId}: payloads are readable`);
      assert.ok(!text.includes(token), `the history of ${workflowId} has the secret`);
    }
    for (const [path, content] of await filesBelow(home))
      if (path !== join(home, 'secrets', 'warehouse')) assert.ok(!content.includes(needle), `${path} has the secret`);
    for (const [name, { log }] of Object.entries(processes))
      assert.ok(!log.join('\n').includes(token), `the log of ${name} has the secret`);
  });

  it('leaves no process behind when it is asked to stop', async () => {
    for (const child of Object.values(processes)) assert.equal((await child.end('SIGTERM')).code, 0);
    await eventually('nothing of it runs', async () => {
      const ours = readProcesses().filter(({ pid, zombie }) => !zombie && hasVariable(pid, 'GOTO3_HOME', home));
      const jobs = [];
      for (const { pid, zombie } of readProcesses()) {
        const argv = zombie ? '' : await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        if (argv.includes(home)) jobs.push(pid);
      }
      return ours.length + jobs.length === 0;
    });
  });
});
