import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { taskQueues, workflowIds } from '../src/contracts/names.ts';
import { retrainingLoop } from '../src/workflows/index.ts';
import { machine, slope, spread } from './orchestration/spread.ts';
import { type BenchStack, startStack } from './orchestration/stack.ts';
import { busyLoop, someDigest } from './soak/activities.ts';
import { CpuClock } from './soak/cpu-clock.ts';
import { historiesOf } from './soak/histories.ts';
import { idleLoops } from './soak/idle-loops.ts';

/**
 * A loop that lives for long, and many that wait. First: cycles of one loop, one after the other, through the real loop,
 * cycle and job workflows, a worker process a queue, and a server with its database as `up` runs it; only the activities do
 * nothing. Then: loops that wait for a request, all on one control worker, with all of them cached and with few.
 * `--cycles 60 --loops 50` is the short form.
 */
const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '2000' }, loops: { type: 'string', default: '1000' } },
});
const cycles = Number(values.cycles);
const loops = Number(values.loops);
/** So many at the beginning and at the end are compared. */
const compared = Math.min(500, Math.floor(cycles / 4));
const smallCache = Math.min(100, Math.ceil(loops / 10));
/** Caches fill and code is compiled: memory is looked at from here on. */
const warm = Math.floor(cycles / 4);

const workers = (cycleLog: string, cache?: number) =>
  (['control', 'cpu', 'gpu'] as const).map((queue) => ({
    name: `worker-${queue}`,
    program: new URL('./soak/worker.ts', import.meta.url),
    args: [
      ...['--queue', queue, '--cycles', String(cycles), '--cycle-log', cycleLog],
      ...['--bundle-folder', fileURLToPath(new URL('../.goto3', import.meta.url))],
      ...(cache === undefined ? [] : ['--cache', String(cache)]),
    ],
  }));

async function withStack<T>(
  cache: number | undefined,
  use: (stack: BenchStack, client: Client, cycleLog: string) => Promise<T>,
): Promise<T> {
  const cycleLog = join(tmpdir(), `goto3-soak-${process.pid}-${cache ?? 'all'}.jsonl`);
  const stack = await startStack(workers(cycleLog, cache));
  const connection = await Connection.connect({ address: stack.address });
  try {
    return await use(stack, new Client({ connection }), cycleLog);
  } finally {
    await connection.close();
    await stack.stop();
  }
}

/** On stderr: stdout is the result. */
async function showProgress(cycleLog: string, startedMs: number): Promise<void> {
  const done = (await readFile(cycleLog, 'utf8').catch(() => '')).split('\n').length - 1;
  console.error(`${done} of ${cycles} cycles after ${Math.round((Date.now() - startedMs) / 1_000)} s`);
}

interface CycleEnd {
  n: number;
  atMs: number;
  rssBytes: number;
}

async function soak(stack: BenchStack, client: Client, cycleLog: string) {
  const cpu = await CpuClock.start(stack);
  const startedMs = Date.now();
  const handle = await client.workflow.start(retrainingLoop, {
    ...{ workflowId: workflowIds.loop(busyLoop), taskQueue: taskQueues.control },
    args: [{ loop: busyLoop, specDigest: someDigest }],
  });
  const progress = setInterval(() => void showProgress(cycleLog, startedMs), 30_000);
  await handle.result().finally(() => clearInterval(progress));
  await cpu.stop();
  const ends = (await readFile(cycleLog, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CycleEnd);
  if (ends.some(({ n }, i) => n !== i + 1)) throw new Error('cycles are missing or ran twice');
  const tookMs = ends.map(({ atMs }, i) => atMs - (ends[i - 1]?.atMs ?? startedMs));
  const first = spread(tookMs.slice(0, compared));
  const last = spread(tookMs.slice(-compared));
  const everyTenth = ends.filter(({ n }) => n > warm && n % 10 === 0);
  return {
    cycles: ends.length,
    wallSeconds: (Date.now() - startedMs) / 1_000,
    cpuMsPerCycle: {
      first: cpu.msBetween(startedMs, ends[compared - 1]!.atMs) / compared,
      last: cpu.msBetween(ends.at(-1 - compared)!.atMs, ends.at(-1)!.atMs) / compared,
      byProcess: cpu.msByProcess(ends.length),
    },
    cycleMs: { first, last, ratio: last.median / first.median },
    workerMiBPer1000Cycles: (1_000 * slope(everyTenth.map(({ n, rssBytes }) => ({ x: n, y: rssBytes })))) / 2 ** 20,
    workerMiB: { atFirst: ends[warm]!.rssBytes / 2 ** 20, atLast: ends.at(-1)!.rssBytes / 2 ** 20 },
    rssMiB: everyTenth.map(({ n, rssBytes }) => [n, Math.round(rssBytes / 2 ** 20)]),
    histories: await historiesOf(client, busyLoop),
  };
}

async function main(): Promise<void> {
  const lived = await withStack(undefined, soak);
  const { cycleMs, histories } = lived;
  console.log(`${lived.cycles} cycles in ${lived.wallSeconds.toFixed(0)} s`);
  for (const [what, { median, p95, most }] of Object.entries({ first: cycleMs.first, last: cycleMs.last }))
    console.log(`${what} ${compared}: median ${median} ms a cycle, p95 ${p95}, most ${most}`);
  const { first, last, byProcess } = lived.cpuMsPerCycle;
  console.log(
    `CPU a cycle, all processes: first ${compared} ${first.toFixed(0)} ms, last ${compared} ${last.toFixed(0)} ms, ${(last / first).toFixed(3)} × (on a machine that others share this says more than the clock)`,
  );
  console.log(
    `  of it: ${Object.entries(byProcess)
      .map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`)
      .join(', ')}`,
  );
  console.log(
    `control worker: ${lived.workerMiB.atFirst.toFixed(0)} → ${lived.workerMiB.atLast.toFixed(0)} MiB, ${lived.workerMiBPer1000Cycles.toFixed(2)} MiB per 1,000 cycles`,
  );
  console.log(
    `histories: largest ${histories.largest} events, ${histories.loopRuns} runs of the loop, carried state ${histories.carriedBytes.join(', ')} bytes`,
  );

  const cached = await withStack(undefined, (stack, client) => idleLoops(stack, client, loops));
  const few = await withStack(smallCache, (stack, client) => idleLoops(stack, client, loops));
  for (const [name, { bytesPerLoop, statusMs, cachedWorkflows }] of [
    ['all cached', cached],
    [`a cache of ${smallCache}`, few],
  ] as const)
    console.log(
      `${loops} idle loops, ${name}: ${(bytesPerLoop / 1_000).toFixed(0)} kB each, ${cachedWorkflows} in the cache, status p50 ${statusMs.median.toFixed(1)} ms, p95 ${statusMs.p95.toFixed(1)} ms`,
    );

  // Up to a hundred starts of the day are carried one by one, then by the quarter of an hour: it swings, within bounds.
  const { carriedBytes } = histories;
  const half = Math.ceil(carriedBytes.length / 2);
  const [earlier, later] = [carriedBytes.slice(0, half), carriedBytes.slice(half)];
  const goals = {
    [`median time of the first and the last ${compared} cycles within 5 %`]: Math.abs(cycleMs.ratio - 1) <= 0.05,
    'less than 1 MB more in the worker per 1,000 cycles': lived.workerMiBPer1000Cycles * 2 ** 20 < 1e6,
    'largest history below 4,096 events': histories.largest < 4_096,
    'carried state does not grow: none of the later runs above all of the earlier':
      Math.max(0, ...later) <= 1.01 * Math.max(0, ...earlier),
    'at most 300 kB a loop with all cached': cached.bytesPerLoop <= 300e3 && cached.cachedWorkflows >= loops,
    'status p95 at most 100 ms with all cached': cached.statusMs.p95 <= 100,
  };
  console.log(
    JSON.stringify({
      bench: 'soak',
      ours: { lived, cached, few },
      peers: {},
      ratios: {},
      goals,
      machine: machine(),
    }),
  );
}

await main();
