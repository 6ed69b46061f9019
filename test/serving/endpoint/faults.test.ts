import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invoke, Load } from '../client.ts';
import { constantModel, slowModel } from '../models.ts';
import { until } from '../waiting.ts';
import { statusOf, World } from '../world.ts';

const row = { x: 1, y: 1 };

describe('endpoint: faults', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  it('answers every request when its inference process is killed, twice, under load', async () => {
    const endpoint = await world.start();
    await world.deployAndWait(endpoint, { model: await world.model(slowModel(0.6, 600)) });
    const load = new Load(endpoint, 16);
    const killed: (number | null)[] = [];
    for (const crashes of [1, 2]) {
      const before = load.replies.length;
      await until('requests flow', () => load.replies.length > before + 50);
      const { pid } = (await statusOf(endpoint)).inference;
      process.kill(pid!, 'SIGKILL');
      killed.push(pid);
      await until('another process serves', async () => {
        const { inference, variants } = await statusOf(endpoint);
        return inference.crashes === crashes && variants[0]!.ready && inference.pid !== pid;
      });
    }
    const before = load.replies.length;
    await until('requests flow again', () => load.replies.length > before + 50);
    await load.stop();

    assert.deepEqual(load.failures, []);
    // One crash is never seen by a caller: what was under way is asked once more.
    assert.deepEqual(new Set(load.replies.map(({ status }) => status)), new Set([200]));
    const { inference } = await statusOf(endpoint);
    assert.match(inference.lastCrash!.reason, /SIGKILL/);
    assert.ok(!killed.includes(inference.pid));
    await world.stop(endpoint);
    assert.equal((await world.captures()).length, load.replies.length);
  });

  it('kills and replaces a process that hangs, and tells the caller', async () => {
    const endpoint = await world.start({ runTimeoutMs: 400, answerTimeoutMs: 5_000 });
    await world.deployAndWait(endpoint, { model: await world.model(constantModel(0.6)) });
    const { pid } = (await statusOf(endpoint)).inference;
    process.kill(pid!, 'SIGSTOP');
    const reply = await invoke(endpoint, row);
    assert.equal(reply.status, 200, 'asked once more in the next process');
    const { inference } = await statusOf(endpoint);
    assert.equal(inference.crashes, 1);
    assert.match(inference.lastCrash!.reason, /no answer to "run" within 400 ms/);
  });

  it('serves on while the store is away, and keeps the evidence until it is back', async () => {
    const endpoint = await world.start();
    await world.deployAndWait(endpoint, { model: await world.model(constantModel(0.6)) });
    const [there, away] = [join(world.folder, 'store'), join(world.folder, 'away')];
    await rename(there, away);
    for (let index = 0; index < 20; index++) assert.equal((await invoke(endpoint, row)).status, 200);
    await until('an append has failed', async () => {
      const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
      return /captures\{state="failedAppends"\} [1-9]/.test(metrics);
    });
    const { pid } = (await statusOf(endpoint)).inference;
    process.kill(pid!, 'SIGKILL');
    assert.equal((await invoke(endpoint, row)).status, 200, 'a restart needs no store either');
    await rename(away, there);
    const generation = await world.deploy({ model: await world.model(constantModel(0.7)) });
    await world.serves(endpoint, generation);
    await world.stop(endpoint);
    assert.equal((await world.captures()).length, 21);
  });

  it('leaves no process behind when it is killed itself, and comes back with the same generation', async () => {
    const options = {
      endpoint: world.endpoint,
      replica: 'r1',
      storeUrl: world.store.url,
      port: 0,
      cacheFolder: join(world.folder, 'cache-r1'),
    };
    const program = fileURLToPath(new URL('./replica-process.ts', import.meta.url));
    const replica = fork(program, [JSON.stringify(options)], { execArgv: ['--import', 'tsx'] });
    const [url] = (await once(replica, 'message')) as [string];
    const generation = await world.deployAndWait({ url }, { model: await world.model(constantModel(0.6)) });
    const { pid } = (await statusOf({ url })).inference;
    replica.kill('SIGKILL');
    await until('the inference process has ended', () => hasEnded(pid!));

    const next = await world.start();
    await world.serves(next, generation);
    assert.equal((await invoke(next, row)).status, 200);
  });
});

async function hasEnded(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return status === '' || /\nState:\tZ/.test(status);
}
