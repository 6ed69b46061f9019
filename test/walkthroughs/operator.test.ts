import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import type { DesiredState } from '../../src/contracts/endpoint.ts';
import type { Deployment } from '../../src/contracts/manifests.ts';
import type { Answer, CycleStatus, EndpointStatus } from '../../src/contracts/messages.ts';
import { refNames } from '../../src/contracts/names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { documentOf, runCli } from '../client/cli/run-cli.ts';
import { StackProcess } from '../processes.ts';
import { linearModel, numericSignature } from '../serving/models.ts';
import { eventually, startTemporal } from '../temporal.ts';

const feed = fileURLToPath(new URL('../e2e/feed.mjs', import.meta.url));

const loopFile = `
apiVersion: goto3/v1
loop: op
model: op
data:
  program: [node, ${feed}]
  env: { WAREHOUSE_TOKEN: { secret: oncall } }
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
  slices: [half]
base: { warmStart: never }
train: { program: [node, train.mjs], resources: { memory: 512MiB, time: 1m } }
gate: { metrics: [{ metric: accuracy, floor: 0.80, margin: 10pt }] }
approval: { by: [ann], within: 1h }
rollout: { endpoint: op, canary: [], each: { atLeast: 1 requests, atMost: 1m } }
limits: { cyclesPerDay: 4 }
notify: { on: [parked, rolledBack, approvalNeeded, paused, overBudget], webhook: { secret: oncall } }
`;

/** Fails while somebody has left the feature store away; else it "trains" the next model in line. */
const training = `
import { copyFileSync, existsSync } from 'node:fs';
if (existsSync('broken')) {
  console.error('the feature store is not there');
  process.exit(1);
}
for (const name of ['model.onnx', 'signature.json']) copyFileSync(name, \`\${process.env.SM_MODEL_DIR}/\${name}\`);
console.log(JSON.stringify({ progress: 1 }));
`;

/** What operators say, from their shell, to real processes. */
describe('an operator at the shell', function () {
  this.timeout(120_000);
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let loopFolder: string;
  let env: Record<string, string>;
  let goto3: Goto3;
  let webhook: Server;
  const posts: { key: string; event: string; command: string }[] = [];
  const processes: Record<string, StackProcess> = {};

  before(async () => {
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-operator-'));
    loopFolder = join(home, 'loop');
    for (const folder of [loopFolder, join(home, 'secrets')]) await mkdir(folder);
    webhook = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        posts.push(JSON.parse(Buffer.concat(chunks).toString()) as (typeof posts)[number]);
        response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
    await writeFile(join(home, 'secrets', 'oncall'), `http://127.0.0.1:${(webhook.address() as AddressInfo).port}/\n`);
    await writeFile(join(loopFolder, 'loop.yaml'), loopFile);
    await writeFile(join(loopFolder, 'train.mjs'), training);
    await writeFile(join(loopFolder, 'signature.json'), JSON.stringify(numericSignature));
    env = { GOTO3_HOME: home, TEMPORAL_ADDRESS: temporal.address };
    for (const queue of ['control', 'cpu', 'gpu'])
      processes[queue] = new StackProcess('main.ts', ['--queue', queue], env);
    processes.endpoint = new StackProcess('endpoint.ts', ['--endpoint', 'op', '--port', '0'], env);
    goto3 = await connect({ environment: readEnvironment(env), by: 'test' });
    for (const child of Object.values(processes)) await child.healthy();
  });
  after(async () => {
    for (const child of Object.values(processes)) await child.end('SIGKILL');
    await goto3?.close();
    webhook?.closeAllConnections();
    webhook?.close();
    await temporal?.teardown();
    await rm(home, { recursive: true, force: true });
  });

  const say = async (...words: string[]) => await runCli(home, words, env);
  /** Says something and gets the answer as a program would. */
  const told = async <T = Answer>(...words: string[]): Promise<T> => {
    const ran = await say(...words, '--json');
    assert.equal(ran.code, 0, `goto3 ${words.join(' ')}: ${ran.stderr}`);
    return documentOf<T>(ran);
  };
  const refused = async (reason: RegExp, ...words: string[]) => {
    const ran = await say(...words);
    assert.deepEqual([ran.code, reason.test(ran.stderr)], [3, true], `goto3 ${words.join(' ')}: ${ran.stderr}`);
  };
  const at = async (id: string, stage: string, says: RegExp): Promise<CycleStatus> =>
    await eventually(
      `${id} is at ${stage}`,
      async () => {
        const status = await goto3.cycle(id).status();
        return status.stage === stage && says.test(status.command ?? '') ? status : undefined;
      },
      40_000,
    );
  const reportOf = async (n: number) => await goto3.cycle(`op/${n}`).result({ timeoutMs: 40_000 });
  const endpointAt = async (what: string, is: (status: EndpointStatus) => boolean) =>
    await eventually(what, async () => {
      const status = await goto3.endpoint('op').status();
      return is(status) && status;
    });

  let delivered = 0;
  /** Two clouds of points; of `bad` rows a column is missing. */
  const deliver = async (rows: number, bad = 0): Promise<void> => {
    const lines = Array.from({ length: rows }, (_, i) => {
      const n = delivered + i;
      const center = n % 2 === 0 ? -1 : 1;
      const [x, y] = [center + 1.2 * Math.sin(n * 12.9898), center + 1.2 * Math.cos(n * 78.233)];
      const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
      const row = { id: `row-${n}`, at, kind: center < 0 ? 'ham' : 'spam', y, half: n % 3 === 0 ? 'a' : 'b' };
      return `${JSON.stringify(i < bad ? row : { ...row, x })}\n`;
    });
    delivered += rows;
    await appendFile(join(loopFolder, 'rows.jsonl'), lines.join(''));
  };
  /** The model that the next training comes to. */
  const nextModel = async (bias: number): Promise<void> =>
    await writeFile(join(loopFolder, 'model.onnx'), linearModel({ wx: 1, wy: 1, bias }));
  const newest = async (name: string) => (await goto3.store.refs.read(name))!;

  it('approves, if he may', async () => {
    await nextModel(0);
    await deliver(300);
    await told('apply', join(loopFolder, 'loop.yaml'));
    await told('loop', 'retrain', 'op', '--reason', 'first');
    await at('op/1', 'approval', /goto3 cycle approve op\/1/);
    await refused(/"bob" is not one of the approvers: ann/, 'cycle', 'approve', 'op/1', '--reason', 'x', '--by', 'bob');
    await refused(/at "approval" and waits for no retry/, 'cycle', 'retry', 'op/1');
    // A worker that dies while a person thinks about it tells nobody a second time.
    await processes.control!.end('SIGKILL');
    processes.control = new StackProcess('main.ts', ['--queue', 'control'], env);
    await processes.control.healthy();
    await told('cycle', 'approve', 'op/1', '--reason', 'looks good', '--by', 'ann');
    const { outcome, approvedBy, version } = await reportOf(1);
    assert.deepEqual([outcome, approvedBy, version], ['deployed', 'ann', 1]);
    await refused(/no other version to roll back to/, 'endpoint', 'rollback', 'op', '--reason', 'x');
  });

  it('accepts data that was held back, retries a training, and rejects what comes of it', async () => {
    await deliver(90, 30);
    await writeFile(join(loopFolder, 'broken'), '');
    await told('loop', 'retrain', 'op', '--reason', 'second');
    assert.match((await at('op/2', 'parked', /accept-data/)).waitsFor, /30 of 360 rows do not fit the schema: x/);
    await told('cycle', 'accept-data', 'op/2', '--reason', 'known gap', '--by', 'ann');
    assert.match((await at('op/2', 'parked', /retry/)).waitsFor, /userError\): .*the feature store is not there/);
    const page = await say('status');
    assert.match(
      page.stdout,
      /cycle\/op\/2 parked: training failed[^\n]*\n {4}goto3 cycle retry op\/2 .*\n {4}goto3 job logs/,
    );
    await rm(join(loopFolder, 'broken'));
    await told('cycle', 'retry', 'op/2', '--memory', '600MiB');
    const { facts } = await at('op/2', 'approval', /reject op\/2/);
    assert.ok(!facts.some(([name]) => name === 'training failed'), 'that is over');
    await told('cycle', 'reject', 'op/2', '--reason', 'worse on newsletters', '--by', 'ann');
    const report = await reportOf(2);
    assert.deepEqual([report.outcome, report.detail, report.newRows], ['rejected', 'by ann: worse on newsletters', 60]);
  });

  it('drops a part of the data, and says it again when it was a slip of the tongue', async () => {
    await nextModel(0.01);
    await deliver(90, 30);
    await told('loop', 'retrain', 'op', '--reason', 'third');
    await at('op/3', 'parked', /drop-data/);
    await told('cycle', 'drop-data', 'op/3', '--slice', 'half=z', '--reason', 'typo');
    await eventually('it says what is wrong', async () =>
      /slice "half=z"/.test((await goto3.cycle('op/3').status()).waitsFor),
    );
    await told('cycle', 'drop-data', 'op/3', '--slice', 'half=a', '--reason', 'only that half');
    await at('op/3', 'approval', /approve op\/3/);
    await told('cycle', 'approve', 'op/3', '--reason', 'good', '--by', 'ann');
    const { outcome, newRows, version } = await reportOf(3);
    assert.deepEqual([outcome, newRows, version], ['deployed', 40, 2]);
  });

  it('rolls back, and the champion goes with it', async () => {
    const { reason } = await told('endpoint', 'rollback', 'op', '--reason', 'false alarms', '--by', 'ann');
    assert.equal(reason, 'back to version 1');
    const now = await endpointAt(
      'version 1 serves',
      ({ current, last }) => current?.version === 1 && last?.outcome === 'rolledBack',
    );
    assert.deepEqual([now.frozen?.by, now.frozen?.reason, now.stable], ['ann', 'false alarms', null]);
    assert.equal((await newest(refNames.champion('op'))).digest, now.current?.model);
    const { digest } = await newest(refNames.deployments('op'));
    const { outcome, by }: Deployment = await getManifest(goto3.store, digest, 'Deployment');
    assert.deepEqual([outcome, by], ['rolledBack', 'ann']);
    await told('endpoint', 'unfreeze', 'op', '--reason', 'the cause is found');
  });

  it('breaks the glass: who did it and why is in the status, in the details and on record', async () => {
    const { digest } = await newest(refNames.desired('op'));
    const state = JSON.parse(Buffer.from(await goto3.store.blobs.read(digest)).toString()) as DesiredState;
    const moved = Buffer.from(JSON.stringify({ ...state, generation: state.generation + 1 }));
    const next = await goto3.store.blobs.put(moved);
    const why = { operation: 'by hand', by: 'bob', reason: 'the pager rang' };
    await goto3.store.refs.compareAndSet(refNames.desired('op'), await newest(refNames.desired('op')), next, why);
    const now = await endpointAt('it is adopted', ({ last }) => last?.outcome === 'adopted');
    assert.deepEqual([now.adopted?.by, now.adopted?.reason, now.frozen?.by], ['bob', 'the pager rang', 'bob']);
    const deployment = await getManifest(goto3.store, (await newest(refNames.deployments('op'))).digest, 'Deployment');
    assert.deepEqual([deployment.outcome, deployment.by, deployment.reason], ['adopted', 'bob', 'the pager rang']);
    assert.match((await say('endpoint', 'status', 'op')).stdout, /moved by hand +by bob at .*: the pager rang/);
  });

  it('cancels a cycle, and the loop goes on to its limit', async () => {
    await told('loop', 'retrain', 'op', '--reason', 'fourth');
    await at('op/4', 'approval', /approve op\/4/);
    // The day's last cycle runs: the next one has to wait for tomorrow.
    await told('loop', 'retrain', 'op', '--reason', 'one more');
    await told('cycle', 'cancel', 'op/4');
    assert.equal((await reportOf(4)).outcome, 'cancelled');
    await eventually('whoever is on call knows of the budget', async () =>
      posts.some(({ event }) => event === 'overBudget'),
    );
    await eventually('the loop waits for tomorrow', async () => {
      const { state, waitsFor } = await goto3.loop('op').status();
      return state === 'idle' && waitsFor === 'the limit of 4 cycles a day';
    });
  });

  it('was told once each time, with the command', () => {
    assert.equal(new Set(posts.map(({ key }) => key)).size, posts.length, 'nothing came twice');
    const of = (wanted: string) =>
      posts.filter(({ event }) => event === wanted).map(({ command }) => command.split('\n')[0]);
    assert.deepEqual(
      of('approvalNeeded'),
      [1, 2, 3, 4].map((n) => `goto3 cycle approve op/${n} --reason "..."`),
    );
    assert.deepEqual(of('parked'), [
      'goto3 cycle accept-data op/2 --reason "..."',
      'goto3 cycle retry op/2 --reason "..."',
      'goto3 cycle accept-data op/3 --reason "..."',
      'goto3 cycle accept-data op/3 --reason "..."',
    ]);
    assert.deepEqual(of('overBudget'), ['goto3 apply <file with higher limits>']);
  });
});
