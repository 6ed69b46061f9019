import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { dataConverterOf } from '../../src/codec/data-converter.ts';
import { loadKeyring } from '../../src/codec/keyring.ts';
import { payloadCodec } from '../../src/codec/payload-codec.ts';
import { type CodecServer, serveCodec } from '../../src/codec/server.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { stateLayout } from '../../src/stack/layout.ts';
import { freePorts } from '../../src/stack/ports.ts';
import { findTemporalCli } from '../../src/stack/temporal-cli.ts';
import { prepareNamespace } from '../../src/stack/temporal-namespace.ts';
import { temporalServerSpec } from '../../src/stack/temporal-server.ts';
import { retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { StackProcess } from '../processes.ts';
import { eventually } from '../temporal.ts';

/** What must be seen nowhere, by where it is planted. */
const planted = {
  /** As the digest of a spec that does not exist: in the input, in failure messages, in the current details. */
  input: createHash('sha256').update(randomBytes(32)).digest('hex'),
  update: `planted-update-${randomBytes(8).toString('hex')}`,
  typedInCli: `planted-cli-${randomBytes(8).toString('hex')}`,
  signal: `planted-signal-${randomBytes(8).toString('hex')}`,
};
const loop = 'guarded';
const loopId = workflowIds.loop(loop);

describe('payload codec on a real server', function () {
  this.timeout(90_000);
  let home: string;
  let cli: string;
  let address: string;
  let server: ChildProcess;
  let connection: Connection;
  let client: Client;
  let codecServer: CodecServer;
  const key = randomBytes(32).toString('base64');
  const workers: StackProcess[] = [];

  const startWorker = async (env: Record<string, string>): Promise<StackProcess> => {
    const worker = new StackProcess('main.ts', ['--queue', 'control'], {
      ...{ GOTO3_HOME: home, TEMPORAL_ADDRESS: address },
      ...env,
    });
    workers.push(worker);
    await worker.healthy();
    return worker;
  };
  const withKey = { GOTO3_CODEC_KEYS: 'k1' };

  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-codec-'));
    await mkdir(join(home, 'secrets'));
    await mkdir(join(home, 'temporal'));
    writeFileSync(join(home, 'secrets', 'codec-key-k1'), `${key}\n`, { mode: 0o600 });
    const found = await findTemporalCli(readEnvironment(), []);
    if (!found) throw new Error('no Temporal CLI: run `npm test`, which installs it, or set TEMPORAL_CLI');
    cli = found.path;
    const [port, uiPort] = (await freePorts([undefined, undefined])) as [number, number];
    address = `127.0.0.1:${port}`;
    const layout = stateLayout(home);
    const spec = temporalServerSpec({ cli: found, layout, port, uiPort, namespace: 'default', fsync: false });
    const log = openSync(join(home, 'server.log'), 'a');
    server = spawn(spec.argv[0], spec.argv.slice(1), { stdio: ['ignore', log, log] });
    connection = await eventually('the server answers', () => Connection.connect({ address }), 30_000);
    await eventually('the namespace is there', () => prepareNamespace(address, 'default').then(() => true), 30_000);
    const keyring = await loadKeyring(['k1'], async () => key);
    client = new Client({ connection, dataConverter: dataConverterOf(keyring, 'default') });
    codecServer = await serveCodec({
      ...{ codec: payloadCodec(keyring, 'default'), namespace: 'default', origins: [], token: 'open-sesame', port: 0 },
    });
    await startWorker(withKey);
  });
  after(async () => {
    for (const worker of workers) await worker.end('SIGKILL');
    await codecServer?.close();
    await connection?.close();
    if (server?.exitCode === null) {
      server.kill('SIGTERM');
      await once(server, 'exit');
    }
    await rm(home, { recursive: true, force: true });
  });

  const temporal = async (codec: boolean, ...argv: string[]): Promise<string> => {
    const through = codec ? ['--codec-endpoint', codecServer.url, '--codec-auth', 'Bearer open-sesame'] : [];
    const { stdout } = await promisify(execFile)(cli, [...argv, '--address', address, ...through], { timeout: 20_000 });
    return stdout;
  };
  /** Everything that the server keeps and that any process has said. */
  const traces = (): Buffer =>
    Buffer.concat([
      ...readdirSync(join(home, 'temporal')).map((name) => readFileSync(join(home, 'temporal', name))),
      readFileSync(join(home, 'server.log')),
      ...workers.map(({ log }) => Buffer.from(log.join('\n'))),
    ]);
  const argumentsOf = (pid: number): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1');

  it('leaves messages, failures and details working for the client', async () => {
    const specDigest = `sha256:${planted.input}` as Digest;
    const handle = await client.workflow.start(retrainingLoop, {
      ...{ workflowId: loopId, taskQueue: taskQueues.control, args: [{ loop, specDigest }] },
      staticSummary: `a loop about ${planted.input}`,
    });
    const status = await eventually('the loop says what is wrong', async () => {
      const now = await handle.query(messages.loopStatusQuery);
      return JSON.stringify(now).includes('has no blob') && now;
    });
    assert.match(JSON.stringify(status), new RegExp(planted.input));
    const request = { requestId: 'p1', reason: planted.update, by: 'alice' };
    const answer = await handle.executeUpdate(messages.pauseUpdate, { args: [request] });
    // A loop without a spec has nothing to pause; its answer is a payload like any other.
    assert.equal(answer.state, 'refused');
  });

  it('lets an operator read and write with the Temporal CLI through the codec server', async () => {
    const query = ['workflow', 'query', '--workflow-id', loopId, '--type', 'status'];
    assert.match(await temporal(true, ...query), new RegExp(planted.input));
    assert.doesNotMatch(await temporal(false, ...query), new RegExp(planted.input));
    // `-o json` prints payloads as they travel: in base64.
    const history = (codec: boolean) => temporal(codec, 'workflow', 'show', '--workflow-id', loopId, '-o', 'json');
    const data = (json: string): string =>
      [...json.matchAll(/"data": "([^"]+)"/g)].map(([, text]) => Buffer.from(text!, 'base64').toString()).join('\n');
    for (const text of [planted.input, planted.update]) {
      assert.match(data(await history(true)), new RegExp(text));
      assert.doesNotMatch(data(await history(false)), new RegExp(text));
    }
    const input = join(home, 'resume.json');
    writeFileSync(input, JSON.stringify({ requestId: 'r1', reason: planted.typedInCli, by: 'alice' }));
    const update = [
      'workflow',
      'update',
      'execute',
      '--workflow-id',
      loopId,
      '--name',
      'resume',
      '--input-file',
      input,
    ];
    assert.match(await temporal(true, ...update), /done/);
  });

  it('shows nothing of it in the database, in logs, in arguments', async () => {
    // First that the search finds what is in the clear.
    const clear = `planted-clear-${randomBytes(8).toString('hex')}`;
    const open = new Client({ connection });
    await open.workflow.start('nobody', { workflowId: 'clear', taskQueue: 'nobody', args: [clear] });
    await eventually('what is in the clear is on disk', async () => traces().includes(clear));
    await open.workflow.getHandle('clear').terminate();

    const found = traces();
    assert.ok(found.includes('encryption-key-id'));
    for (const [where, text] of Object.entries(planted)) assert.equal(found.includes(text), false, where);
    assert.equal(found.includes(key), false, 'the key');
    for (const pid of [server.pid!, ...workers.map(({ child }) => child.pid!)])
      for (const text of [...Object.values(planted), key]) assert.equal(argumentsOf(pid).includes(text), false);
    const { raw } = await client.workflow.getHandle(loopId).describe();
    const attributes = JSON.stringify(raw.workflowExecutionInfo?.searchAttributes);
    for (const text of Object.values(planted)) assert.equal(attributes.includes(text), false);
  });

  it('a worker without the key fails the task, typed and with the id, and loses no message', async () => {
    const handle = client.workflow.getHandle(loopId);
    await workers[0]!.end('SIGTERM');
    const blind = await startWorker({});
    await handle.signal(messages.newDataSignal, { rows: 1, note: planted.signal } as { rows: number });
    const failure = await eventually(
      'the task fails',
      async () => {
        const { events } = await handle.fetchHistory();
        return (
          events?.map((event) => event.workflowTaskFailedEventAttributes?.failure).find((failed) => failed) ?? undefined
        );
      },
      30_000,
    );
    assert.equal(failure.applicationFailureInfo?.type, 'CodecKeyMissing');
    assert.match(failure.message ?? '', /"k1".*no key is configured here/);
    await blind.end('SIGTERM');
    await startWorker(withKey);
    const status = await eventually('it answers again', () => handle.query(messages.loopStatusQuery), 30_000);
    assert.match(JSON.stringify(status), new RegExp(planted.input));
    assert.equal(traces().includes(planted.signal), false);
  });
});
