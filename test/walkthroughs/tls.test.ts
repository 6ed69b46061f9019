import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { documentOf, runCli } from '../client/cli/run-cli.ts';
import { startTemporal } from '../temporal.ts';
import { makeCertificates, startTlsProxy, type TlsProxy } from './tls-proxy.ts';

const bin = fileURLToPath(new URL('../../bin/goto3', import.meta.url));
const apiKey = 'planted-api-key';

/** As production is reached: by TLS with a private CA, a client certificate and an API key, all from a profile. */
describe('a Temporal server behind TLS, with an API key', function () {
  this.timeout(180_000);
  let folder: string;
  let temporal: TestWorkflowEnvironment;
  let proxy: TlsProxy;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-tls-'));
    temporal = await startTemporal();
    const { ca, server, client } = makeCertificates(folder);
    proxy = await startTlsProxy(temporal.address, { ca, server, apiKey });
    const profile = (name: string, key: string, pair: boolean): string => `[profile.${name}]
address = "${proxy.address}"
namespace = "default"
api_key = "${key}"
[profile.${name}.tls]
server_ca_cert_path = "${ca}"
${pair ? `client_cert_path = "${client.cert}"\nclient_key_path = "${client.key}"\n` : ''}`;
    const profiles = [
      profile('prod', apiKey, true),
      profile('stranger', apiKey, false),
      profile('oldkey', 'old-key', true),
    ];
    await writeFile(join(folder, 'temporal.toml'), profiles.join('\n'));
    const environments = Object.fromEntries(
      ['prod', 'stranger', 'oldkey'].map((name) => [
        name,
        { home: name, temporal: { profile: name, configFile: 'temporal.toml' } },
      ]),
    );
    await writeFile(
      join(folder, 'goto3.yaml'),
      JSON.stringify({ apiVersion: 'goto3/v1', default: 'prod', environments }),
    );
  });
  after(async () => {
    await proxy.close();
    await temporal.teardown();
    await rm(folder, { recursive: true, force: true });
  });

  const type = async (...argv: string[]) => {
    const child = spawn(process.execPath, [bin, ...argv], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const run = { code: null as number | null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      run.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      run.stderr += text;
    });
    [run.code] = (await once(child, 'close')) as [number | null];
    return run;
  };

  it('commands and a worker get in by the profile alone', async () => {
    const doctor = await type('doctor', '--env', 'prod', '--json');
    const { findings } = documentOf<{ findings: { name: string; status: string; found: string }[] }>(doctor);
    const server = findings.find(({ name }) => name === 'Temporal server');
    assert.deepEqual([server?.status, server?.found], ['ok', `serves at ${proxy.address}, by TLS`]);

    let worker: ChildProcess | undefined;
    try {
      worker = spawn(process.execPath, [bin, 'worker', '--queue', 'hpc', '--env', 'prod'], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      worker.stdout!.resume();
      const before = proxy.calls();
      for (const deadline = Date.now() + 60_000; ; ) {
        const status = await type('status', '--env', 'prod', '--json');
        const { workers: known } = documentOf<{ temporal: { workers: { queue: string; workers: number }[] } }>(
          status,
        ).temporal;
        if (known.some(({ queue, workers }) => queue === 'hpc' && workers > 0)) break;
        assert.ok(Date.now() < deadline, `no hpc worker: ${status.stdout}`);
      }
      assert.ok(proxy.calls() > before);
      assert.equal(proxy.refused(), 0);
    } finally {
      worker?.kill('SIGTERM');
      if (worker && worker.exitCode === null) await once(worker, 'exit');
    }
  });

  it('without a client certificate, and with an old key, they say that they cannot, and print no key', async () => {
    for (const name of ['stranger', 'oldkey']) {
      const run = await type('loop', 'status', 'spam', '--env', name);
      assert.equal(run.code, 4, run.stderr);
      assert.match(run.stderr, new RegExp(`no Temporal server answers at ${proxy.address}`));
      assert.doesNotMatch(run.stdout + run.stderr, /planted-api-key|old-key/);
    }
    assert.ok(proxy.refused() > 0);
  });

  it('plain text does not get in', async () => {
    const run = await runCli(join(folder, 'plain'), ['loop', 'status', 'spam'], { TEMPORAL_ADDRESS: proxy.address });
    assert.equal(run.code, 4, run.stderr);
  });
});
