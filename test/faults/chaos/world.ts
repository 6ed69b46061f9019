import { existsSync, readdirSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Claim, JobFolder } from '../../../src/jobs/local/job-folder.ts';
import { isThere, jobFolderAt, readControlFile } from '../../../src/jobs/local/job-folder.ts';
import { eventually } from '../../temporal.ts';
import { LoopUnderFault } from '../harness/loop.ts';
import { StackUnderFault } from '../harness/stack.ts';
import { Traffic } from '../harness/traffic.ts';

const askEveryMs = 400;

/** A stack at work: loops that retrain as soon as they rest, callers of the endpoint. */
export class ChaosWorld {
  readonly stack: StackUnderFault;
  readonly loops: readonly LoopUnderFault[];
  private readonly traffic: Traffic;
  private isDriving = true;
  private readonly driving: Promise<void>;

  private constructor(stack: StackUnderFault, loops: readonly LoopUnderFault[]) {
    this.stack = stack;
    this.loops = loops;
    this.traffic = new Traffic(stack, 'mail', 1);
    this.driving = this.drive();
  }

  static async open(): Promise<ChaosWorld> {
    const stack = await StackUnderFault.create(['mail']);
    try {
      await stack.start();
      const loops = await Promise.all([
        LoopUnderFault.write(stack, 'mail', { endpoint: 'mail' }),
        LoopUnderFault.write(stack, 'steady', { trainer: { kind: 'resumable', epochs: 400 } }),
        LoopUnderFault.write(stack, 'quick'),
      ]);
      for (const loop of loops) await loop.apply();
      return new ChaosWorld(stack, loops);
    } catch (error) {
      await stack.destroy();
      throw error;
    }
  }

  /** Asks every loop for the next cycle when it rests; what a fault does to the question is the fault's business. */
  private async drive(): Promise<void> {
    for (let turn = 0; this.isDriving; turn += 1) {
      for (const { name } of this.loops) {
        const loop = this.stack.goto3.loop(name);
        await loop
          .status()
          .then(async ({ state }) => {
            if (state !== 'idle' || !this.isDriving) return;
            const { cycle } = await loop.retrain({ requestId: `chaos ${turn}`, reason: 'chaos' });
            this.stack.log.commands.push({ kind: 'retrain', loop: name, cycle: Number(cycle.split('/')[1]) });
          })
          .catch(() => undefined);
      }
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
  }

  /** Folders of jobs that have a claim and no end. */
  async runningJobs(): Promise<{ folder: JobFolder; claim: Claim }[]> {
    const { jobs } = this.stack.layout;
    const running = [];
    for (const name of (await readdir(jobs)).filter((entry) => /^[0-9a-f]{64}$/.test(entry))) {
      const folder = jobFolderAt(join(jobs, name));
      const claim = await readControlFile<Claim>(join(folder.path, 'claim-1.json'));
      if (claim && !(await isThere(folder.exit))) running.push({ folder, claim });
    }
    return running;
  }

  /** Faults that have not met their call never will, but for one that is meeting it: the folder is its to write into. */
  disarm(): void {
    const folder = join(this.stack.home, 'faults');
    const armed = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
    for (const name of armed) rmSync(join(folder, name), { force: true });
  }

  /** Stops to ask, and waits until every loop rests. */
  async rests(withinMs: number): Promise<void> {
    this.isDriving = false;
    await this.driving;
    for (const { name } of this.loops)
      await eventually(
        `the loop ${name} rests`,
        async () => {
          const status = await this.stack.goto3.loop(name).status();
          if (status.state === 'idle' && status.queued === null) return true;
          const cycle = status.running && (await this.stack.goto3.cycle(`${name}/${status.running.n}`).status());
          throw new Error(`${status.state}: ${status.waitsFor}; cycle: ${cycle?.stage}, ${cycle?.waitsFor}`);
        },
        withinMs,
      );
    await this.traffic.stop();
  }

  async close(): Promise<void> {
    this.isDriving = false;
    await this.traffic.stop();
    await this.driving;
    await this.stack.destroy();
  }
}
