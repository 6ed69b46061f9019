import type { LeaseHolder } from './gpu-leases.ts';
import { HeartbeatWatch } from './heartbeat-watch.ts';
import { type Claim, isThere, type JobFolder, jobFolderAt, type ProgramRecord, readControlFile } from './job-folder.ts';
import { liveness, type Machine } from './processes.ts';
import { killProgram } from './program-processes.ts';

/** `unclear`: not heard of for a while, or processes that cannot be killed; the job must not be started again yet. */
export type WrapperFate = { fate: 'alive' } | { fate: 'unclear'; why: string } | { fate: 'gone'; why: string };

/** A wrapper of another host is given up after its renewal is overdue by this factor (DESIGN §4). */
const overdue = 2;

/**
 * What became of the wrapper that holds a claim. `gone` means that no process of its program is left: what a dead wrapper
 * of this machine left behind is killed first, and one of another machine has had twice the time in which it had to kill
 * its own program.
 */
export class WrapperFates {
  readonly #here: Machine;
  readonly #heartbeats = new HeartbeatWatch();

  constructor(here: Machine) {
    this.#here = here;
  }

  async of(folder: JobFolder, claim: Claim): Promise<WrapperFate> {
    const seen = liveness(claim, this.#here);
    if (seen === 'alive') return { fate: 'alive' };
    if (seen === 'elsewhere') return await this.#byHeartbeat(folder, claim);
    const left = claim.bootId === this.#here.bootId ? await this.#killLeftovers(folder, claim.marker) : [];
    if (left.length > 0)
      return { fate: 'unclear', why: `the wrapper is gone, but its processes ${left.join(', ')} cannot be killed` };
    const how = claim.bootId === this.#here.bootId ? 'was killed' : 'ended when the host was restarted';
    return {
      fate: 'gone',
      why: `the job's wrapper (pid ${claim.pid} on ${claim.host}) ${how} before it could record an end`,
    };
  }

  /** The same question for a GPU lease. */
  async isHeld(holder: LeaseHolder, renewWithinMs: number): Promise<boolean> {
    const folder = jobFolderAt(holder.jobFolder);
    // Leases are the host's own, but a restarted container no longer sees the processes of its former life.
    if (liveness(holder, this.#here) === 'elsewhere' && (await isThere(folder.exit))) return false;
    return (await this.of(folder, { ...holder, by: 'wrapper', renewWithinMs })).fate !== 'gone';
  }

  forget(folder: JobFolder): void {
    this.#heartbeats.forget(folder);
  }

  async #byHeartbeat(folder: JobFolder, claim: Claim): Promise<WrapperFate> {
    const { unchangedMs, moved } = await this.#heartbeats.observe(folder);
    const where = `wrapper (pid ${claim.pid} on ${claim.host})`;
    if (moved && unchangedMs <= claim.renewWithinMs) return { fate: 'alive' };
    if (unchangedMs <= overdue * claim.renewWithinMs)
      return {
        fate: 'unclear',
        why: `the job's ${where} was last seen to renew ${Math.round(unchangedMs / 1000)} s ago`,
      };
    return {
      fate: 'gone',
      why: `the job's ${where} has not renewed its claim for ${overdue} × ${claim.renewWithinMs} ms`,
    };
  }

  async #killLeftovers(folder: JobFolder, marker: string): Promise<number[]> {
    const leader = await readControlFile<ProgramRecord>(folder.program);
    const left = await killProgram({ marker, ...(leader && { leader }) });
    return left.map((process_) => process_.pid);
  }
}
