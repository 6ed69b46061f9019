import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { createTriggerService } from '../../examples/trigger-service/service.ts';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import type { LoopStatus } from '../../src/contracts/messages.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { inheritedEnvironment, readEnvironment } from '../../src/stack/environment.ts';
import { findTemporalCli } from '../../src/stack/temporal-cli.ts';
import { retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers, workflowBundle } from '../temporal.ts';
import { digestOf, Worlds } from '../workflows/world.ts';
import { ServiceProcess } from './service-process.ts';

const readme = readFileSync(new URL('../../examples/trigger-service/README.md', import.meta.url), 'utf8');

describe('trigger-service', function () {
  this.timeout(60_000);
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let service: ServiceProcess;
  let home: string;
  const inProcess: Server[] = [];
  let unattended: Promise<Response>;
  const worlds = new Worlds();

  const environment = () => ({ GOTO3_HOME: home, TEMPORAL_ADDRESS: env.address });
  const post = async (loop: string, requestId?: string, body?: object | string): Promise<Response> =>
    await fetch(`${service.url}/retrain/${loop}`, {
      method: 'POST',
      ...(requestId !== undefined && { headers: { 'idempotency-key': requestId } }),
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  const askAll = async (loop: string, requestId: (i: number) => string) =>
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const response = await post(loop, requestId(i));
        return { status: response.status, body: (await response.json()) as { cycle: string; state: string } };
      }),
    );
  const connectTo = (temporalAddress: string) =>
    connect({ environment: { ...readEnvironment(environment()), temporalAddress }, connectWithinMs: 1_000 });
  /** The service in this process, where a test decides what it connects to. */
  const serve = async (connectNow: () => Promise<Goto3>): Promise<string> => {
    const server = createTriggerService(connectNow);
    inProcess.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const ask = (url: string, loop: string): Promise<Response> =>
    fetch(`${url}/retrain/${loop}`, { method: 'POST', headers: { 'idempotency-key': 'r1' } });
  const start = async (loop: string, taskQueue: string = taskQueues.control) =>
    await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop(loop),
      taskQueue,
      args: [{ loop, specDigest: digestOf('spec') }],
    });
  const status = async (loop: string): Promise<LoopStatus> =>
    await env.client.workflow.getHandle(workflowIds.loop(loop)).query(messages.loopStatusQuery);
  const running = async (loop: string) =>
    await eventually(`a cycle of ${loop} runs`, async () => (await status(loop)).state === 'running');
  const finished = async (loop: string, cycles: number) =>
    await eventually(`${cycles} cycles of ${loop}`, async () => {
      const now = await status(loop);
      return now.finishedCycles >= cycles && now.state === 'idle' && now.queued === null;
    });

  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'goto3-trigger-'));
    env = await startTemporal();
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
    service = await ServiceProcess.start(environment());
    // Nobody polls this queue: the answer takes the client's 10 s, so it is asked for first and looked at last.
    await start('unattended', 'nobody');
    unattended = ask(await serve(() => connectTo(env.address)), 'unattended');
  });
  after(async () => {
    await service?.end('SIGKILL');
    for (const server of inProcess) server.close().closeAllConnections();
    await workers?.stop();
    await env?.teardown();
    rmSync(home, { recursive: true, force: true });
  });

  it('starts a cycle; the reason and who asked reach it', async () => {
    await start('single');
    const response = await post('single', 'r1', { reason: 'the export is there' });
    assert.equal(response.status, 202);
    assert.deepEqual(await response.json(), { cycle: 'single/1', state: 'started', reason: 'the export is there' });
    await finished('single', 1);
    assert.equal(worlds.of('single').reports[0]?.reason, 'the export is there');
  });

  it('makes one cycle of 100 concurrent requests with one id, and gives them one answer, also over a kill -9', async () => {
    worlds.of('herd').jobHangs = true;
    await start('herd');
    const first = await askAll('herd', () => 'same');
    assert.deepEqual([...new Set(first.map(({ status }) => status))], [202]);
    assert.equal(new Set(first.map(({ body }) => JSON.stringify(body))).size, 1);
    await running('herd');

    const { port } = service;
    const lost = askAll('herd', () => 'same').catch((error: unknown) => error);
    assert.equal(await service.end('SIGKILL'), 'SIGKILL');
    await lost;
    service = await ServiceProcess.start(environment(), port);
    const again = await askAll('herd', () => 'same');
    assert.deepEqual(again, first);

    worlds.of('herd').jobHangs = false;
    await finished('herd', 1);
    assert.deepEqual(
      worlds.of('herd').jobs.map(({ name }) => name),
      ['herd/1/train/1'],
    );
  });

  it('makes one running and one queued cycle of 100 concurrent requests with 100 ids; nobody sees an error', async () => {
    worlds.of('many').jobHangs = true;
    await start('many');
    const answers = await askAll('many', (i) => `request-${i}`);
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    const cycles = new Set(answers.map(({ body }) => body.cycle));
    assert.ok(
      [...cycles].every((cycle) => cycle === 'many/1' || cycle === 'many/2'),
      [...cycles].join(' '),
    );
    assert.equal(answers.filter(({ body }) => body.state === 'started').length, 1);
    await running('many');
    // The first of them may have begun its cycle before the others came, or after; one more finds both.
    const queued = (await (await post('many', 'one-more')).json()) as { cycle: string; state: string };
    assert.deepEqual([queued.cycle, queued.state], ['many/2', 'queued']);
    worlds.of('many').jobHangs = false;
    await finished('many', 2);
    assert.equal(worlds.of('many').jobs.length, 2);
  });

  it('says 404 for a loop that is not applied, 409 with the reason when it refuses', async () => {
    const unknown = await post('nobody-applied-me', 'r1');
    assert.equal(unknown.status, 404);
    assert.match(((await unknown.json()) as { error: string }).error, /goto3 apply/);

    const handle = await start('paused');
    const pause = { requestId: 'p1', reason: 'audit', by: 'ops' };
    await handle.executeUpdate(messages.pauseUpdate, { args: [pause] });
    const refused = await post('paused', 'r1');
    assert.equal(refused.status, 409);
    assert.match(((await refused.json()) as { error: string }).error, /paused by ops: audit/);
  });

  it('says 400, 404, 405 or 413 to what it cannot understand, and starts nothing', async () => {
    await start('untouched');
    const refusals: [Promise<Response>, number, RegExp][] = [
      [post('untouched'), 400, /Idempotency-Key/],
      [post('untouched', 'with space'), 400, /visible ASCII/],
      [post('untouched', 'x'.repeat(201)), 400, /200/],
      [post('untouched', 'a', { requestId: 'b' }), 400, /differ/],
      [post('untouched', 'a', '{"reason":'), 400, /JSON/],
      [post('untouched', 'a', { reason: '' }), 400, /reason/],
      [post('untouched', 'a', { reason: 'x', rows: 3 }), 400, /rows/],
      [post('untouched', 'a', 'x'.repeat(5_000)), 413, /4096/],
      [post('Not_A_Name', 'a'), 400, /lower-case/],
      [post('a/b', 'a'), 404, /retrain/],
      [fetch(`${service.url}/retrain/untouched`), 405, /POST/],
      [fetch(`${service.url}/`), 404, /retrain/],
    ];
    for (const [response, status, text] of refusals) {
      const answer = await response;
      const body = await answer.text();
      assert.equal(answer.status, status, body);
      assert.match(body, text);
    }
    const { running: cycle, finishedCycles } = await eventually('the loop answers', () => status('untouched'));
    assert.deepEqual([cycle, finishedCycles], [null, 0]);
  });

  it('says 503 with Retry-After without a server, and serves as soon as there is one', async () => {
    await start('patient');
    let attempts = 0;
    const url = await serve(() => connectTo(attempts++ === 0 ? '127.0.0.1:9' : env.address));
    const away = await ask(url, 'patient');
    assert.equal(away.status, 503);
    assert.match(away.headers.get('retry-after') ?? '', /^\d+$/);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.deepEqual([(await ask(url, 'patient')).status, attempts], [202, 2]);
    assert.deepEqual([(await ask(url, 'patient')).status, attempts], [202, 2], 'the connection is kept');
  });

  it('is asked as its README says: by curl, and by the Temporal CLI without any service', async () => {
    await start('spam-filter');
    const cli = await findTemporalCli(readEnvironment(), []);
    const run = async (line: string) =>
      await promisify(execFile)('bash', ['-c', line.replace('http://127.0.0.1:8090', service.url)], {
        env: inheritedEnvironment({
          TEMPORAL_ADDRESS: env.address,
          PATH: `${dirname(cli!.path)}:${inheritedEnvironment().PATH}`,
        }),
      });
    const lines = [...readme.matchAll(/^(?:curl|temporal) .*$/gm)].map(([line]) => line);
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['curl', 'temporal'],
    );
    const answered = JSON.parse((await run(lines[0]!)).stdout) as unknown;
    assert.deepEqual(answered, { cycle: 'spam-filter/1', state: 'started', reason: 'nightly export is there' });
    await finished('spam-filter', 1);
    const first = await run(`${lines[1]!} --output json`);
    assert.match(first.stdout, /"id": ?"cycle\/spam-filter\/2"/);
    await finished('spam-filter', 2);
    assert.equal((await run(`${lines[1]!} --output json`)).stdout, first.stdout);
    assert.equal((await status('spam-filter')).finishedCycles, 2);
  });

  it('answers what is under way before it ends by SIGTERM', async () => {
    const handle = await start('late', 'late');
    const asked = request(`${service.url}/retrain/late`, {
      method: 'POST',
      headers: { 'idempotency-key': 'r1', expect: '100-continue' },
    });
    asked.flushHeaders();
    // The interim answer proves that the request has arrived; nobody works on its loop yet.
    await once(asked, 'continue');
    const answered = once(asked.end(), 'response');
    const ended = service.end('SIGTERM');
    const late = await Worker.create({
      connection: env.nativeConnection,
      taskQueue: 'late',
      workflowBundle: await workflowBundle(),
    });
    const [response] = (await late.runUntil(answered)) as [IncomingMessage];
    assert.equal(response.statusCode, 202);
    assert.equal(await ended, 0);
    await handle.terminate();
  });

  it('says 503 when no worker takes the request', async () => {
    const response = await unattended;
    assert.equal(response.status, 503);
    assert.match(((await response.json()) as { error: string }).error, /control worker/);
  });
});
