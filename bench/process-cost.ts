import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessCost {
  wallMs: number;
  /** Largest sum, at one moment, of the resident sets of the process and all its descendants. */
  peakRssBytes: number;
}

/** How often the process tree is looked at. */
const samplingMs = 10;
const pageBytes = 4096;

/** Runs a command cold and measures it, with all the processes that it starts (Linux). @throws Error when it fails */
export async function measureProcess([command, ...argv]: [string, ...string[]]): Promise<ProcessCost> {
  const started = performance.now();
  const child = spawn(command, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  let running = true;
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => {
      running = false;
      if (code === 0) resolve();
      else reject(new Error(`${command} ended with ${code}: ${complaints}`));
    });
  });
  let peakRssBytes = 0;
  const sampled = (async () => {
    while (running) {
      peakRssBytes = Math.max(peakRssBytes, await treeRss(child.pid!));
      await new Promise((resolve) => setTimeout(resolve, samplingMs));
    }
  })();
  await ended;
  const wallMs = performance.now() - started;
  await sampled;
  return { wallMs, peakRssBytes };
}

async function treeRss(root: number): Promise<number> {
  const parents = new Map<number, number>();
  const pages = new Map<number, number>();
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid >= root);
  await Promise.all(
    pids.map(async (pid) => {
      try {
        // Fields after the command's closing bracket: state, parent, …, 24th of all: resident pages.
        const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)!.split(' ');
        parents.set(pid, Number(fields[1]));
        pages.set(pid, Number(fields[21]));
      } catch {
        // it ended in between
      }
    }),
  );
  let total = 0;
  for (const pid of parents.keys()) {
    for (let at: number | undefined = pid; at !== undefined; at = parents.get(at)) {
      if (at !== root) continue;
      total += pages.get(pid)! * pageBytes;
      break;
    }
  }
  return total;
}
