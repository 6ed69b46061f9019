import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { ReplicaRegistration } from '../../src/contracts/endpoint.ts';
import { refNames } from '../../src/contracts/names.ts';
import { searchAttributes } from '../../src/contracts/search-attributes.ts';
import { inheritedEnvironment, readEnvironment } from '../../src/stack/environment.ts';
import { freePorts } from '../../src/stack/ports.ts';
import { findTemporalCli } from '../../src/stack/temporal-cli.ts';
import { getJson } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import { eventually } from '../temporal.ts';
import { durationMs, flagsOf, readComposeFile } from './compose-file.ts';

/**
 * No engine runs here, so the services' own command lines are started without one: the same argv and variables, with
 * folders and ports of this test in the place of a container's.
 */
describe('the services of docker-compose.yml, started by hand', function () {
  this.timeout(60_000);
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const { services } = readComposeFile('docker-compose.yml');
  /** Loopback too, but not where a program listens that was told nothing. */
  const host = '127.0.0.2';
  const namespace = 'compose';
  let folder: string;
  let env: TestWorkflowEnvironment;
  const children: ChildProcess[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-compose-'));
    const cli = await findTemporalCli(readEnvironment(), []);
    env = await TestWorkflowEnvironment.createLocal({
      server: { executable: { type: 'existing-path', path: cli!.path }, log: { level: 'error', format: 'pretty' } },
    });
  });
  after(async () => {
    for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
    await env?.teardown();
    rmSync(folder, { recursive: true, force: true });
  });

  /** @param replaced words of the command line: the container's ports and addresses, by ours */
  const start = (name: string, replaced: Readonly<Record<string, number | string>> = {}): ChildProcess => {
    const { entrypoint, command = [], environment } = services[name]!;
    const argv = [...(entrypoint ?? ['node', '--import', 'tsx', 'src/workers/main.ts']), ...command]
      .map((word) => (word === '0.0.0.0' ? host : String(replaced[word] ?? word)))
      .slice(1);
    const child = spawn(process.execPath, argv, {
      cwd: root,
      env: inheritedEnvironment({
        ...environment,
        GOTO3_HOME: join(folder, name),
        GOTO3_STORE: pathToFileURL(join(folder, 'store')).href,
        TEMPORAL_ADDRESS: env.address,
        TEMPORAL_NAMESPACE: namespace,
      }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.push(child);
    return child;
  };
  const endOf = async (child: ChildProcess): Promise<number | NodeJS.Signals | null> => {
    let stderr = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.exitCode, 0, stderr);
    return child.exitCode;
  };
  const healthy = async (url: string): Promise<unknown> =>
    await eventually(
      url,
      async () => {
        const response = await fetch(url);
        return response.ok && ((await response.json()) as unknown);
      },
      30_000,
    );
  const stop = async (name: string, child: ChildProcess): Promise<void> => {
    const began = performance.now();
    child.kill('SIGTERM');
    await endOf(child);
    assert.ok(performance.now() - began < durationMs(services[name]!.stop_grace_period!), `${name} took too long`);
  };

  it('namespace: creates it with 30 days of retention and our search attributes, and does no harm again', async () => {
    await endOf(start('namespace'));
    await endOf(start('namespace'));
    const { workflowService, operatorService } = env.connection;
    const { config } = await workflowService.describeNamespace({ namespace });
    assert.equal(Number(config?.workflowExecutionRetentionTtl?.seconds), 30 * 86_400);
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    for (const { name } of Object.values(searchAttributes)) assert.ok(customAttributes?.[name], name);
  });

  it('worker-hpc: is healthy, gives metrics to Prometheus, leaves in time', async () => {
    const [port] = (await freePorts([undefined])) as [number];
    const child = start('worker-hpc', { 9100: port });
    const health = await healthy(`http://${host}:${port}/healthz`);
    assert.deepEqual(health, { ok: true, queue: 'hpc', workers: { hpc: 'RUNNING' }, gpus: 0 });
    const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
    assert.match(metrics, /^process_cpu_seconds_total /m);
    assert.match(metrics, /^temporal_worker_start_total\{/m);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/healthz`), 'it listens where it was told to');
    await stop('worker-hpc', child);
  });

  it('endpoint-mail: serves without Temporal, says where it is reached, leaves in time', async () => {
    const flags = flagsOf(services['endpoint-mail']!.command!);
    const [port, health] = (await freePorts([undefined, undefined])) as [number, number];
    const advertised = `http://${host}:${port}`;
    const child = start('endpoint-mail', { 8080: port, 9100: health, [flags.advertise!]: advertised });
    await healthy(`http://${host}:${health}/healthz`);
    assert.equal((await fetch(`${advertised}/ping`)).status, 503, 'it has no model yet');
    const store = await openStore(pathToFileURL(join(folder, 'store')).href);
    const names: string[] = [];
    for await (const name of store.refs.list('endpoints/mail/replicas/')) names.push(name);
    const registered = await eventually('the registration', async () => await store.refs.read(names[0]!));
    assert.equal(registered.name, refNames.replica('mail', names[0]!.split('/').at(-1)!));
    assert.equal((await getJson(store, ReplicaRegistration, registered.digest)).url, advertised);
    await stop('endpoint-mail', child);
  });
});
