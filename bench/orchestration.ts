import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ranTwice, readNotes } from './orchestration/notes.ts';
import { Ours } from './orchestration/ours.ts';
import { dagster, install, metaflow, type Peer } from './orchestration/peers.ts';
import { machine, spread } from './orchestration/spread.ts';
import { stepCount } from './orchestration/workflow.ts';

/**
 * What seven steps that do nothing cost, durably. Ours: regular activities, each through its own queue and worker process,
 * a server with its database as `up` runs it. Beside it, in turns: Metaflow, and Dagster in one loaded process and with a
 * process a step, both with an instance on disk. Then the same with the orchestrator killed (SIGKILL) in the fourth step,
 * which takes a while there: what somebody has to type, the seconds lost, and the steps that ran twice. The slow step of
 * Dagster in process and of Metaflow's resume is part of what is killed or done again; ours runs in its worker meanwhile.
 */
const { values } = parseArgs({
  options: { repeats: { type: 'string', default: '5' }, peers: { type: 'string', default: 'all' } },
});
const repeats = Number(values.repeats);
/** Ours is over in a tenth of a second: so many of them in each turn. */
const ofOursEachTurn = 5;
const slowSeconds = 3;
const killRepeats = Math.min(3, repeats);

async function availablePeers(folder: string): Promise<{ peers: Peer[]; missing: Record<string, string> }> {
  const peers: Peer[] = [];
  const missing: Record<string, string> = {};
  const add = async (product: 'metaflow' | 'dagster', make: (python: string) => Promise<Peer[]>): Promise<void> => {
    if (values.peers !== 'all' && !values.peers.split(',').includes(product)) return;
    try {
      peers.push(...(await make(install(product))));
    } catch (error) {
      missing[product] = (error as Error).message;
      console.log(`${product} cannot be installed: ${(error as Error).message}`);
    }
  };
  await add('metaflow', async (python) => [metaflow(python, folder)]);
  await add('dagster', async (python) => [
    await dagster(python, join(folder, 'dagster-in-process'), 'in_process'),
    await dagster(python, join(folder, 'dagster-multiprocess'), 'multiprocess'),
  ]);
  return { peers, missing };
}

interface Killed {
  product: string;
  commands: string[];
  secondsLost: number[];
  ranTwice: number[];
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-orchestration-'));
  const { peers, missing } = await availablePeers(folder);
  const ours = await Ours.start();
  try {
    const notes = join(folder, 'notes');
    for (let i = 0; i < ofOursEachTurn; i++) await ours.run(notes);
    for (const peer of peers) await peer.run(notes);
    const stepMs: number[] = [];
    const cycles: Record<string, number[]> = Object.fromEntries([
      ['goto3', []],
      ...peers.map(({ name }) => [name, []]),
    ]);
    for (let turn = 0; turn < repeats; turn++) {
      for (let i = 0; i < ofOursEachTurn; i++) {
        const run = await ours.run(notes);
        cycles.goto3!.push(run.seconds);
        stepMs.push(...run.stepMs);
      }
      for (const peer of peers) cycles[peer.name]!.push(await peer.run(notes));
    }
    const killed: Killed[] = [];
    for (const peer of [undefined, ...peers]) {
      const product = peer?.name ?? 'goto3';
      const undisturbed = spread(cycles[product]!).median + slowSeconds;
      const found: Killed = { product, commands: peer?.commands ?? [], secondsLost: [], ranTwice: [] };
      for (let i = 0; i < killRepeats; i++) {
        const own = join(folder, `notes-${product.replaceAll(/\W/g, '-')}-${i}`);
        const took = peer ? await peer.runKilled(own, slowSeconds) : (await ours.runKilled(own, slowSeconds)).seconds;
        found.secondsLost.push(took - undisturbed);
        found.ranTwice.push(ranTwice(await readNotes(own)));
      }
      killed.push(found);
    }
    report({ stepMs, cycles, killed, missing }, ours);
  } finally {
    for (const peer of peers) await peer.stop();
    await ours.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function report(
  {
    stepMs,
    cycles,
    killed,
    missing,
  }: { stepMs: number[]; cycles: Record<string, number[]>; killed: Killed[]; missing: Record<string, string> },
  { stack }: Ours,
): void {
  const row = (cells: string[]): void =>
    console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(26))).join(''));
  const steps = spread(stepMs);
  console.log(`\n${stepCount} steps that do nothing, ${repeats} turns\n`);
  row(['', 'seconds a cycle', 'ms a step', 'of ours']);
  const median = (name: string): number => spread(cycles[name]!).median;
  for (const name of Object.keys(cycles)) {
    const { median: middle, least, most } = spread(cycles[name]!);
    row([
      name,
      `${middle.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`,
      ((1_000 * middle) / stepCount).toFixed(0),
      `${(middle / median('goto3')).toFixed(1)} ×`,
    ]);
  }
  console.log(
    `\ngoto3, from one step's end to the next one's: median ${steps.median.toFixed(1)} ms, p95 ${steps.p95.toFixed(1)} ms\n`,
  );
  row(['SIGKILL in step 4', 'commands typed', 'seconds lost', 'steps run twice']);
  for (const { product, commands, secondsLost, ranTwice: twice } of killed) {
    const { median: middle, least, most } = spread(secondsLost);
    row([
      product,
      String(commands.length),
      `${middle.toFixed(1)} (${least.toFixed(1)}–${most.toFixed(1)})`,
      String(Math.max(...twice)),
    ]);
    for (const command of commands) console.log(`    ${command}`);
  }
  const share = (name: string): number => (cycles[name] ? median('goto3') / median(name) : Number.NaN);
  const [mine] = killed as [Killed];
  console.log(
    JSON.stringify({
      bench: 'orchestration',
      ours: {
        stepMs: steps,
        cycleSeconds: spread(cycles.goto3!),
        killed: mine,
        server: { ...stack.cli, flags: stack.flags },
      },
      peers: { cycles, killed: killed.slice(1), missing },
      ratios: {
        'ours / Dagster in process': share('Dagster, in process'),
        'ours / Dagster multiprocess': share('Dagster, multiprocess'),
        'ours / Metaflow': share('Metaflow'),
      },
      goals: {
        'at most 25 ms a step at the median': steps.median <= 25,
        'at most a quarter of Dagster in process': share('Dagster, in process') <= 1 / 4,
        'at most a twentieth of Metaflow': share('Metaflow') <= 1 / 20,
        'after kill -9: nothing typed, no step twice':
          mine.commands.length === 0 && mine.ranTwice.every((steps) => steps === 0),
      },
      machine: machine(),
      raw: { stepMs },
    }),
  );
}

await main();
