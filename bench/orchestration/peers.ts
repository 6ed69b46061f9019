import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensurePythonVenv } from '../../scripts/python-venv.ts';
import { noted } from './notes.ts';
import { slowStep } from './workflow.ts';

/** A product that can run the seven steps. Times in seconds, from the moment that the run is asked for to its end. */
export interface Peer {
  name: string;
  /** What a person types when its process was killed. */
  commands: string[];
  run(notes: string): Promise<number>;
  /** Its process is killed in the fourth step; then what a person would type is typed, at once. */
  runKilled(notes: string, slowSeconds: number): Promise<number>;
  stop(): Promise<void>;
}

const programs = fileURLToPath(new URL('./peers/', import.meta.url));
const withinMs = 300_000;

/** @throws Error that names what cannot be installed */
export function install(product: 'metaflow' | 'dagster'): string {
  const folder = fileURLToPath(new URL(`../../.goto3/venv-${product}`, import.meta.url));
  return join(ensurePythonVenv(folder, join(programs, product, 'requirements.txt')), 'python');
}

/** A new process a run: there is no other way to run a flow. */
export function metaflow(python: string, home: string): Peer {
  const start = (verb: string, notes: string, slowSeconds: number): ChildProcess =>
    spawn(python, [join(programs, 'metaflow_flow.py'), '--datastore-root', home, verb], {
      cwd: home,
      env: environment(notes, slowSeconds, { METAFLOW_HOME: home, METAFLOW_USER: 'bench' }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  return {
    name: 'Metaflow',
    commands: ['python metaflow_flow.py resume'],
    async run(notes) {
      const startedMs = performance.now();
      await succeeded(start('run', notes, 0));
      return seconds(startedMs);
    },
    async runKilled(notes, slowSeconds) {
      const startedMs = performance.now();
      const first = start('run', notes, slowSeconds);
      await noted(notes, `${slowStep} began`, withinMs);
      await killed(first);
      await succeeded(start('resume', notes, slowSeconds));
      return seconds(startedMs);
    },
    stop: async () => undefined,
  };
}

/** One process that has everything loaded, with an instance on disk, runs job after job. */
export async function dagster(python: string, home: string, job: 'in_process' | 'multiprocess'): Promise<Peer> {
  await mkdir(home, { recursive: true });
  await writeFile(join(home, 'dagster.yaml'), 'telemetry:\n  enabled: false\n');
  let runner: { process: ChildProcess; lines: Interface; notes: string; slowSeconds: number } | undefined;
  /** Steps read from the environment where they write, so each file has its process. */
  const runnerFor = async (notes: string, slowSeconds: number) => {
    if (runner?.notes === notes && runner.slowSeconds === slowSeconds) return runner;
    await stop();
    const child = spawn(python, [join(programs, 'dagster_runs.py')], {
      cwd: programs,
      env: environment(notes, slowSeconds, { DAGSTER_HOME: home }),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    runner = { process: child, lines: createInterface({ input: child.stdout }), notes, slowSeconds };
    await once(runner.lines, 'line');
    return runner;
  };
  const ask = async (order: 'run' | 'recover', notes: string, slowSeconds: number): Promise<void> => {
    const { process: child, lines } = await runnerFor(notes, slowSeconds);
    child.stdin!.write(`${order} ${job}\n`);
    const [line] = (await Promise.race([once(lines, 'line'), once(child, 'exit').then(() => ['{}'])])) as [string];
    if ((JSON.parse(line) as { success?: boolean }).success !== true)
      throw new Error(`Dagster did not succeed: ${line}`);
  };
  const stop = async (): Promise<void> => {
    if (!runner) return;
    const { process: child } = runner;
    runner = undefined;
    child.stdin!.end();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return {
    name: `Dagster, ${job.replace('_', ' ')}`,
    commands: ['mark the run as failed', 'run again from the failure'],
    async run(notes) {
      await runnerFor(notes, 0);
      const startedMs = performance.now();
      await ask('run', notes, 0);
      return seconds(startedMs);
    },
    async runKilled(notes, slowSeconds) {
      const { process: child } = await runnerFor(notes, slowSeconds);
      const startedMs = performance.now();
      child.stdin!.write(`run ${job}\n`);
      await noted(notes, `${slowStep} began`, withinMs);
      await killed(child);
      runner = undefined;
      await ask('recover', notes, slowSeconds);
      return seconds(startedMs);
    },
    stop,
  };
}

const seconds = (sinceMs: number): number => (performance.now() - sinceMs) / 1_000;

const environment = (notes: string, slowSeconds: number, more: Record<string, string>): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: process.env.HOME ?? '',
  BENCH_NOTES: notes,
  BENCH_SLOW_SECONDS: String(slowSeconds),
  ...more,
});

async function succeeded(child: ChildProcess): Promise<void> {
  let complaints = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${child.spawnfile} ended with ${code}: ${complaints.slice(-2_000)}`);
}

/** The process alone, not what it has started: nobody kills a whole tree at once by accident. */
async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
