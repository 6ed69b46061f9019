import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { applyLoop } from '../../../src/client/apply.ts';
import { connect, type Goto3 } from '../../../src/client/connect.ts';
import { chosenVariables } from '../../../src/client/environments.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import { replayVerdict } from '../../../src/client/replay-verdict.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { readEnvironment } from '../../../src/stack/environment.ts';
import { openStore } from '../../../src/store/open.ts';
import { verifyStore } from '../../../src/store/verify.ts';
import { StackProcess } from '../../processes.ts';
import { invoke } from '../../serving/client.ts';
import { awsVariables, region, Versitygw, withVariables } from '../../support/versitygw/server.ts';
import { eventually, startTemporal } from '../../temporal.ts';

const program = (file: string): string => fileURLToPath(new URL(`../../e2e/${file}`, import.meta.url));

const loopFile = `
apiVersion: goto3/v1
loop: tiny
model: tiny
data:
  program: [node, ${program('feed.mjs')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  columns: { id: id, time: at, label: kind, features: [x, y] }
  holdout: { share: 40%, newest: 300 }
train:
  program: [node, ${program('train.ts')}]
  env: { WAREHOUSE_TOKEN: { secret: warehouse } }
  resources: { memory: 1GiB, time: 1m }
gate:
  metrics: [{ metric: accuracy, floor: 0.80, margin: 5pt }]
rollout:
  endpoint: tiny
  canary: [50%]
  each: { atLeast: 30 requests, atMost: 1m, onTimeout: rollback }
  rollbackOn: { errorRate: +5pt, latencyP99: +1000% }
triggers: { newRows: 100 }
limits: { cyclesPerDay: 100 }
`;

/** Two separate clouds on a grid. */
const rows = Array.from({ length: 400 }, (_, n) => {
  const side = n % 2 === 0 ? -1 : 1;
  const at = new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
  return { id: `row-${n}`, at, kind: side < 0 ? 'ham' : 'spam', x: side + (n % 7) / 10, y: side + (n % 5) / 10 };
});

describe('a loop whose store is a bucket', function () {
  this.timeout(600_000);
  let server: Versitygw;
  let temporal: TestWorkflowEnvironment;
  let home: string;
  let goto3: Goto3;
  let restore: () => void;
  const processes: Record<string, StackProcess> = {};

  const started = async (name: string, message: string): Promise<void> => {
    const child = processes[name]!;
    await eventually(`${name} starts`, async () => child.said(message), 180_000).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${child.log.slice(-10).join('\n')}`);
    });
  };

  before(async () => {
    server = await Versitygw.start();
    temporal = await startTemporal();
    home = await mkdtemp(join(tmpdir(), 'goto3-s3-e2e-'));
    for (const folder of ['loop', 'secrets']) await mkdir(join(home, folder));
    await writeFile(join(home, 'secrets', 'warehouse'), 'planted-token\n');
    await writeFile(join(home, 'loop', 'loop.yaml'), loopFile);
    await writeFile(join(home, 'loop', 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    await writeFile(
      join(home, 'goto3.yaml'),
      `apiVersion: goto3/v1
default: bucket
environments:
  bucket:
    home: state
    temporal: { address: ${temporal.address} }
    store: { url: s3://goto3-test/loops, region: ${region}, endpoint: ${server.url}, cache: 1GiB }
    secrets: { folder: secrets }
`,
    );
    const variables = chosenVariables('bucket', home, {});
    const aws = awsVariables(server.url);
    const env = { ...aws, ...variables, GOTO3_CACHE: join(home, 'cache') };
    restore = withVariables(aws);
    goto3 = await connect({ environment: readEnvironment(env), by: 'ann' });
    // One after the other: each loads on all of two cores.
    for (const queue of ['control', 'cpu', 'gpu']) {
      processes[queue] = new StackProcess('main.ts', ['--queue', queue], env);
      await started(queue, 'worker started');
    }
    processes.endpoint = new StackProcess('endpoint.ts', ['--endpoint', 'tiny', '--port', '0'], env);
    await started('endpoint', 'endpoint started');
  });
  after(async () => {
    for (const child of Object.values(processes)) await child.end('SIGKILL');
    restore?.();
    await goto3?.close();
    await temporal?.teardown();
    await server?.stop();
    await rm(home, { recursive: true, force: true });
  });

  it('trains, judges, deploys and answers, with all of it in the bucket and none on disk', async () => {
    await applyLoop(goto3, await readLoopFile(join(home, 'loop', 'loop.yaml')), { by: 'ann', reason: 'test' });
    const report = await goto3.cycle('tiny/1').result({ timeoutMs: 120_000 });
    assert.equal(report.outcome, 'deployed', report.detail);
    const url = (await processes.endpoint!.started()).url!;
    const answer = await eventually('the endpoint serves it', async () => {
      const reply = await invoke({ url }, { x: 3, y: 3 });
      return reply.status === 200 && reply;
    });
    assert.equal(answer.predictions[0]?.label, 'spam');

    const { store } = goto3;
    assert.equal(store.url, 's3://goto3-test/loops');
    assert.equal((await store.refs.read(refNames.champion('tiny')))?.digest, report.candidate);
    assert.ok((await replayVerdict(store, report.verdict!)).equal);
    await eventually('its evidence is in the bucket', async () => {
      const { records } = await store.captures.read('tiny');
      return records.length > 0;
    });
    assert.equal(existsSync(join(home, 'state', 'store')), false);
  });

  it('leaves a store that verifies, for a reader of its own', async () => {
    const { problems, blobs } = await verifyStore(await openStore(goto3.store.url, { s3: { endpoint: server.url } }));
    assert.deepEqual(problems, []);
    assert.ok(blobs > 10, `${blobs} blobs`);
  });
});
