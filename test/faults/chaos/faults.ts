import { rm } from 'node:fs/promises';
import { refNames, workflowIds } from '../../../src/contracts/names.ts';
import { collectEvidence, readJobs } from '../checker/collect.ts';
import { ArmedFault, type FaultPoint } from '../harness/armed-fault.ts';
import type { ChaosWorld } from './world.ts';

/** Picks one of a list; what it picks follows from the seed. */
export type Pick = <T>(from: readonly T[]) => T;

/** Does its harm, and says what it did; undefined when there was nothing to harm. */
type Fault = (world: ChaosWorld, pick: Pick, number: number) => Promise<string | undefined>;

const workers = ['worker-control', 'worker-cpu', 'worker-gpu'] as const;
/** Shorter and longer than the heartbeat time-outs of 10 to 30 s. */
const pausesMs = [2_000, 18_000] as const;

async function kill(world: ChaosWorld, name: string): Promise<string | undefined> {
  // It may be down already, by the fault before.
  return await world.stack.signal(name, 'SIGKILL').then(
    ({ pid }) => `kill -9 of ${name} (${pid})`,
    () => undefined,
  );
}

export const faults: Readonly<Record<string, Fault>> = {
  'kill a worker': (world, pick) => kill(world, pick(workers)),
  'kill every worker': async (world) => {
    const killed = await Promise.all(workers.map((name) => kill(world, name)));
    return killed.some(Boolean) ? 'kill -9 of every worker' : undefined;
  },
  'kill the server': (world) => kill(world, 'temporal'),
  'kill the endpoint': (world) => kill(world, 'endpoint-mail'),
  'kill a job': async (world, pick) => {
    const running = await world.runningJobs();
    if (running.length === 0) return undefined;
    const { claim, folder } = pick(running);
    try {
      process.kill(claim.pid, 'SIGKILL');
    } catch {
      return undefined;
    }
    return `kill -9 of the wrapper ${claim.pid} of ${folder.path}`;
  },
  'pause a worker': async (world, pick) => {
    const [name, pauseMs] = [pick(workers), pick(pausesMs)];
    const stopped = await world.stack.signal(name, 'SIGSTOP').catch(() => undefined);
    if (!stopped) return undefined;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    try {
      process.kill(stopped.pid, 'SIGCONT');
    } catch {
      // Somebody else has killed it.
    }
    return `SIGSTOP of ${name} for ${pauseMs} ms`;
  },
  'die at an effect': async (world, pick, number) => {
    const point = pick(effects(world.loops.map(({ name }) => name)));
    ArmedFault.arm(world.stack.home, `chaos-${number}`, point);
    return `${point.process} will die ${point.when} ${point.path}`;
  },
  'terminate a loop and apply it': async (world, pick) => {
    const loop = pick(world.loops);
    const handle = world.stack.goto3.temporal.workflow.getHandle(workflowIds.loop(loop.name));
    if (
      !(await handle.terminate('chaos').then(
        () => true,
        () => false,
      ))
    )
      return undefined;
    await applyAgain(world, [loop.name]);
    return `terminated and applied loop ${loop.name}`;
  },
  'kill up and start it': async (world) => {
    await world.stack.endUp('SIGKILL');
    await world.stack.start();
    return 'kill -9 of `up`, and `up` again';
  },
  'stop up and start it': async (world) => {
    await world.stack.endUp('SIGTERM');
    await world.stack.start();
    return 'SIGTERM of `up`, and `up` again';
  },
  'delete the database and apply': async (world) => {
    const { stack } = world;
    const from = new Date().toISOString();
    const evidence = await collectEvidence(stack).catch(() => undefined);
    if (!evidence) return undefined;
    stack.pastHistories.push(...evidence.histories);
    for (const suffix of ['', '-wal', '-shm']) await rm(`${stack.layout.database}${suffix}`, { force: true });
    if (!(await kill(world, 'temporal'))) return undefined;
    // Asked for between the look at the histories and the end of the server, a job has no history to show any more.
    const submitted = (await readJobs(stack.layout.jobs))
      .filter((job) => job.submittedAt >= from)
      .map(({ name }) => name);
    stack.pastHistories.push({ workflowId: 'lost', runId: from, events: 0, replayFailure: null, submitted });
    await applyAgain(
      world,
      world.loops.map(({ name }) => name),
    );
    return 'the Temporal database was deleted, and every loop applied';
  },
};

const effects = (loops: readonly string[]): FaultPoint[] => [
  ...loops.flatMap((loop): FaultPoint[] => [
    { process: 'worker-control', call: 'link', when: 'before', path: `/refs/${refNames.cycles(loop)}/@log/` },
    { process: 'worker-control', call: 'link', when: 'after', path: `/refs/${refNames.cycles(loop)}/@log/` },
    { process: 'worker-control', call: 'link', when: 'after', path: `/refs/${refNames.versions(loop)}/@log/` },
    { process: 'worker-control', call: 'link', when: 'after', path: `/refs/${refNames.reports(loop)}/@log/` },
    { process: 'worker-cpu', call: 'link', when: 'after', path: `/refs/pins/${loop}/` },
  ]),
  { process: 'worker-control', call: 'link', when: 'after', path: `/refs/${refNames.desired('mail')}/@log/` },
  { process: 'worker-cpu', call: 'link', when: 'before', path: '/store/blobs/' },
  { process: 'worker-gpu', call: 'link', when: 'after', path: '/job\\.json$' },
  { process: 'worker-gpu', call: 'wrapper', when: 'spawned', path: '/jobs/' },
  { process: 'worker-gpu', call: 'wrapper', when: 'claimed', path: '/jobs/' },
];

/** What a person would type; again until the server takes it. */
async function applyAgain(world: ChaosWorld, names: readonly string[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (const loop of world.loops.filter(({ name }) => names.includes(name)))
    for (;;) {
      try {
        await loop.apply();
        break;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
}
