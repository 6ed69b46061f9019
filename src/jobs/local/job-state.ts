import type { JobStatus } from '../../contracts/job.ts';
import { readClaim, takeClaim } from './claim.ts';
import { WrapperFates } from './dead-wrapper.ts';
import {
  type Claim,
  type ExitRecord,
  isThere,
  type JobFolder,
  type ProgramRecord,
  readControlFile,
} from './job-folder.ts';
import { liveness, type Machine, thisMachine, thisProcess } from './processes.ts';
import { signalProcess } from './program-processes.ts';
import { publishOnce } from './publish.ts';

/**
 * How far a job has come, from its folder alone: exit.json, else the claim and what became of its wrapper, else pending.
 * A job whose wrapper is gone is ended here, by whoever looks first; what was told once stays true.
 */
export class JobStates {
  readonly #host: string;
  readonly #renewWithinMs: number;
  readonly #here: Machine;
  readonly #fates: WrapperFates;

  constructor(host: string, renewWithinMs: number) {
    this.#host = host;
    this.#renewWithinMs = renewWithinMs;
    this.#here = thisMachine(host);
    this.#fates = new WrapperFates(this.#here);
  }

  async of(folder: JobFolder): Promise<JobStatus> {
    const exit = await readControlFile<ExitRecord>(folder.exit);
    if (exit) return statusOf(exit);
    const claim = (await readClaim(folder))?.claim;
    if (claim?.by === 'wrapper') return await this.#byWrapper(folder, claim);
    if (!claim && !(await isThere(folder.cancel))) return { state: 'pending' };
    // A cancel came first and was interrupted before it could record the end.
    await this.#claimForCancel(folder);
    return await this.#recorded(folder);
  }

  /** Records the cancel and passes it on; a job that has not started ends here. */
  async cancel(folder: JobFolder): Promise<void> {
    if (await isThere(folder.exit)) return;
    await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
    const wrapper = await this.#claimForCancel(folder);
    // The wrapper would see the file by itself; the signal saves the wait.
    if (wrapper && liveness(wrapper, this.#here) === 'alive') signalProcess(wrapper, 'SIGTERM');
  }

  /** Takes the claim of a job that has not started, and ends it; returns the wrapper's claim when that was first. */
  async #claimForCancel(folder: JobFolder): Promise<Claim | undefined> {
    const claim = await takeClaim(folder, {
      ...thisProcess(this.#host),
      by: 'cancel',
      marker: '',
      renewWithinMs: this.#renewWithinMs,
      at: new Date().toISOString(),
    });
    if (!claim.taken && claim.winner.by === 'wrapper') return claim.winner;
    await this.#end(folder, { state: 'cancelled', reason: 'cancelled before it started' });
    return undefined;
  }

  async #byWrapper(folder: JobFolder, claim: Claim): Promise<JobStatus> {
    const fate = await this.#fates.of(folder, claim);
    const program = await readControlFile<ProgramRecord>(folder.program);
    if (fate.fate === 'unclear') return { state: 'unknown', reason: fate.why };
    if (fate.fate === 'alive')
      return program ? { state: 'running', startedAt: program.startedAt } : { state: 'pending' };
    this.#fates.forget(folder);
    const cancelled = await isThere(folder.cancel);
    await this.#end(folder, {
      ...(cancelled
        ? { state: 'cancelled', reason: `cancelled on request; ${fate.why}` }
        : { state: 'failed', failureClass: 'infrastructure', reason: fate.why }),
      ...(program && { startedAt: program.startedAt }),
    });
    return await this.#recorded(folder);
  }

  async #end(folder: JobFolder, exit: Omit<ExitRecord, 'endedAt'>): Promise<void> {
    const record: ExitRecord = { ...exit, endedAt: new Date().toISOString() };
    await publishOnce(folder.exit, JSON.stringify(record));
  }

  /** What exit.json says, which may be another's word: whoever wrote it first was right. */
  async #recorded(folder: JobFolder): Promise<JobStatus> {
    const exit = await readControlFile<ExitRecord>(folder.exit);
    // No exit after all: a wrapper claimed the job between two looks, and the next look finds it.
    return exit ? statusOf(exit) : { state: 'pending' };
  }
}

/** What a recorded end says. */
export function statusOf(exit: ExitRecord): JobStatus {
  return {
    state: exit.state,
    ...(exit.failureClass !== undefined && { failureClass: exit.failureClass }),
    ...(exit.reason !== undefined && { reason: exit.reason }),
    ...(exit.exitCode !== undefined && { exitCode: exit.exitCode }),
    ...(exit.signal !== undefined && { signal: exit.signal }),
    ...(exit.startedAt !== undefined && { startedAt: exit.startedAt }),
    endedAt: exit.endedAt,
  };
}
