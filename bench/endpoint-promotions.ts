import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import type { Digest } from '../src/contracts/digest.ts';
import { DesiredState, type ReplicaStatus } from '../src/contracts/endpoint.ts';
import { refNames } from '../src/contracts/names.ts';
import { startEndpoint } from '../src/serving/endpoint/main.ts';
import { putJson } from '../src/store/manifests.ts';
import { openStore } from '../src/store/open.ts';
import type { Ref, Store } from '../src/store/types.ts';
import type { Called, Order } from './endpoint-promotions/callers.ts';
import { putVersion } from './endpoint-promotions/versions.ts';
import { machine, spread } from './orchestration/spread.ts';

/**
 * One replica of the endpoint under constant traffic, open loop, while versions come and go: a good one takes 5, 50, 100 %
 * of the traffic, then a broken one, which fails every request, takes 20 % and is rolled back. The desired state is moved
 * as the endpoint's workflow and break-glass move it: one compare-and-set of one ref. Counted: requests that failed and
 * were not asked of a broken version, and the time from the rollback to the last request that the broken one was asked.
 */
const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '20' }, rate: { type: 'string', default: '300' } },
});
const rounds = Number(values.rounds);
const ratePerSecond = Number(values.rate);
/** Traffic at each weight. */
const dwellMs = 500;
const servedWithinMs = 30_000;
const endpointName = 'bench';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The endpoint's desired state, moved step by step. */
class Desired {
  private generation = 0;
  private ref: Ref | undefined;
  private readonly store: Store;

  constructor(store: Store) {
    this.store = store;
  }

  /** Resolves with the time at which it was moved. */
  async set(versions: { version: string; model: Digest; weight: number }[]): Promise<number> {
    const variants = versions.map(({ version, ...variant }) => ({ name: version, ...variant, shadow: false }));
    this.generation++;
    const state: DesiredState = {
      ...{ schema: 'goto3/desired/v1', endpoint: endpointName, generation: this.generation },
      ...{ variants, frozen: null },
    };
    const why = { operation: `bench/${this.generation}`, by: 'bench', reason: 'bench' };
    const digest = await putJson(this.store, DesiredState, state);
    const movedMs = Date.now();
    this.ref = await this.store.refs.compareAndSet(refNames.desired(endpointName), this.ref, digest, why);
    return movedMs;
  }

  /** Waits until the replica says that it serves what was set last. */
  async served(url: string): Promise<void> {
    const deadline = Date.now() + servedWithinMs;
    for (;;) {
      const status = (await (await fetch(`${url}/goto3/status`)).json()) as ReplicaStatus;
      if (status.generation === this.generation) return;
      if (Date.now() > deadline)
        throw new Error(`generation ${this.generation} is not served: ${JSON.stringify(status)}`);
      await sleep(20);
    }
  }
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-promotions-'));
  const store = await openStore(join(folder, 'store'), { durability: 'fast' });
  const desired = new Desired(store);
  let stable = { version: 'v0', model: await putVersion(store, folder, 0, false) };
  await desired.set([{ ...stable, weight: 100 }]);
  const endpoint = await startEndpoint({
    ...{ endpoint: endpointName, replica: 'r1', storeUrl: store.url, port: 0 },
    ...{ cacheFolder: join(folder, 'cache'), log: pino({ level: 'error' }) },
  });
  const callers = fork(fileURLToPath(new URL('./endpoint-promotions/callers.ts', import.meta.url)), [], {
    execArgv: process.execArgv,
    serialization: 'advanced',
  });
  const rollbacks: { version: string; movedMs: number }[] = [];
  try {
    const { url } = endpoint;
    await desired.served(url);
    callers.send({ url, ratePerSecond } satisfies Order);
    await sleep(dwellMs);
    for (let round = 1; round <= rounds; round++) {
      const candidate = { version: `v${round}`, model: await putVersion(store, folder, round, false) };
      for (const weight of [5, 50, 100]) {
        await desired.set([
          { ...stable, weight: 100 - weight },
          { ...candidate, weight },
        ]);
        await desired.served(url);
        await sleep(dwellMs);
      }
      stable = candidate;
      const broken = { version: `broken${round}`, model: await putVersion(store, folder, 1_000 + round, true) };
      await desired.set([
        { ...stable, weight: 80 },
        { ...broken, weight: 20 },
      ]);
      await desired.served(url);
      await sleep(dwellMs);
      rollbacks.push({ version: broken.version, movedMs: await desired.set([{ ...stable, weight: 100 }]) });
      await desired.served(url);
      await sleep(dwellMs);
    }
    report(await stopCallers(callers), rollbacks);
  } finally {
    callers.kill();
    await endpoint.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function stopCallers(callers: ChildProcess): Promise<Called[]> {
  callers.send('stop' satisfies Order);
  const [called] = (await once(callers, 'message')) as [Called[]];
  return called;
}

function report(called: Called[], rollbacks: { version: string; movedMs: number }[]): void {
  const isBroken = ({ version }: Called): boolean => version.startsWith('broken');
  const healthy = called.filter((call) => !isBroken(call));
  const failed = healthy.filter(({ status }) => status !== 200);
  const latency = spread(healthy.map(({ tookMs }) => tookMs));
  const versionsSeen = new Set(called.map(({ version }) => version));
  const rollbackMs = rollbacks.flatMap(({ version, movedMs }) => {
    const asked = called.filter((call) => call.version === version);
    // One that was never asked says nothing.
    return asked.length === 0 ? [] : [Math.max(0, ...asked.map(({ sentMs }) => sentMs - movedMs))];
  });
  const times = spread(rollbackMs);
  const failedOnBroken = called.filter(isBroken).length;
  const seconds = (called.at(-1)!.dueMs - called[0]!.dueMs) / 1_000;
  console.log(
    `${called.length} requests in ${seconds.toFixed(0)} s (${ratePerSecond} a second asked for), ${rounds} promotions, ${rounds} rollbacks`,
  );
  console.log(
    `healthy versions: ${healthy.length} requests, ${failed.length} failed; p50 ${latency.median.toFixed(0)} ms, p95 ${latency.p95.toFixed(0)} ms, most ${latency.most.toFixed(0)} ms`,
  );
  console.log(`broken versions: ${failedOnBroken} requests before their rollback`);
  console.log(
    `from the rollback to the last request that the broken version was asked: median ${times.median.toFixed(0)} ms, most ${times.most.toFixed(0)} ms`,
  );
  console.log(
    JSON.stringify({
      bench: 'endpoint-promotions',
      ours: {
        requests: called.length,
        failed: failed.length,
        failures: failed.slice(0, 20),
        latencyMs: latency,
        rollbackMs: times,
        failedOnBroken,
      },
      peers: {},
      ratios: {},
      goals: {
        'no failed request of a healthy version': failed.length === 0,
        // Each good version took all traffic once, and each broken one was asked.
        [`all ${2 * rounds + 1} versions were asked`]: versionsSeen.size === 2 * rounds + 1,
      },
      machine: machine(),
      raw: { rollbackMs },
    }),
  );
}

await main();
