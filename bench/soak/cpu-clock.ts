import { readFile } from 'node:fs/promises';
import type { BenchStack } from '../orchestration/stack.ts';

interface Sample {
  atMs: number;
  /** User and system time since its start, by process. */
  cpuMs: Record<string, number>;
}

const everyMs = 1_000;
const msPerTick = 10;

/** Notes once a second how much CPU time the server and the workers have used (Linux). */
export class CpuClock {
  private readonly samples: Sample[] = [];
  private readonly stack: BenchStack;
  private readonly timer: NodeJS.Timeout;

  private constructor(stack: BenchStack) {
    this.stack = stack;
    this.timer = setInterval(() => void this.look(), everyMs);
  }

  static async start(stack: BenchStack): Promise<CpuClock> {
    const clock = new CpuClock(stack);
    await clock.look();
    return clock;
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.look();
  }

  /** CPU time of all processes between two times, to a second. */
  msBetween(fromMs: number, toMs: number): number {
    const at = (ms: number): number => {
      const sample = this.samples.find(({ atMs }) => atMs >= ms) ?? this.samples.at(-1)!;
      return Object.values(sample.cpuMs).reduce((sum, one) => sum + one, 0);
    };
    return at(toMs) - at(fromMs);
  }

  msByProcess(cycles: number): Record<string, number> {
    const [first, last] = [this.samples[0]!.cpuMs, this.samples.at(-1)!.cpuMs];
    return Object.fromEntries(Object.keys(first).map((name) => [name, (last[name]! - first[name]!) / cycles]));
  }

  private async look(): Promise<void> {
    const names = ['temporal', 'worker-control', 'worker-cpu', 'worker-gpu'];
    const cpuMs: Record<string, number> = {};
    for (const name of names) {
      const fields = (await readFile(`/proc/${this.stack.pid(name)}/stat`, 'utf8')).split(') ').at(-1)!.split(' ');
      cpuMs[name] = (Number(fields[11]) + Number(fields[12])) * msPerTick;
    }
    this.samples.push({ atMs: Date.now(), cpuMs });
  }
}
