import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  type WorkflowHandle,
} from '@temporalio/client';
import type { Digest } from '../contracts/digest.ts';
import type { Answer } from '../contracts/messages.ts';
import { isName, taskQueues } from '../contracts/names.ts';
import { SubmittedWorkload, WorkloadReport } from '../contracts/workload-documents.ts';
import type { WaveStatus, WorkloadInput, WorkloadResult, WorkloadStatus } from '../contracts/workload-messages.ts';
import { parseWorkloadId, type WorkloadRun, workloadIds, workloadRefs } from '../contracts/workload-names.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { workload } from '../workflows/index.ts';
import { resumeWorkloadUpdate, waveStatusQuery, workloadStatusQuery } from '../workflows/workload-messages.ts';
import { Goto3Error, InvalidArgument, NotFoundError, NotRunning, Refused } from './errors.ts';
import { accepted, cancel, query, tell } from './talk.ts';
import type { WorkloadFileContent } from './workload-file.ts';
import { isSame, takeIn } from './workload-intake.ts';

interface Connected {
  temporal: Client;
  store: Store;
}

export interface Submitted extends WorkloadRun {
  specDigest: Digest;
  /** `found`: the same file was submitted under this key before. */
  outcome: 'started' | 'found';
}

/** Who asks, why, and under which name: asking twice with it is asking once. */
export interface Word {
  by: string;
  reason: string;
  requestId: string;
}

/**
 * Takes a workload with its scripts and inputs into the store and starts it, once for each key.
 * @throws Refused when another file has the key, InvalidFile for inputs that are not there
 */
export async function submitWorkload(
  { temporal, store }: Connected,
  content: WorkloadFileContent,
  { key = keyOfNow(), by, reason }: { key?: string; by: string; reason: string },
): Promise<Submitted> {
  if (!isName(key))
    throw new InvalidArgument(
      `key ${JSON.stringify(key)}: expected lower-case letters, digits, ".", "_" and "-", at most 63 characters`,
    );
  const run = { workload: content.spec.workload, key };
  const document = await takeIn(store, content, by);
  const ref = workloadRefs.submitted(run);
  const before = await store.refs.read(ref);
  const specDigest = await putJson(store, SubmittedWorkload, document);
  if (before && !(await isSame(store, before, document)))
    throw new Refused(
      `${run.workload}/${key} was submitted with another file; choose another --key, or bring the change in: goto3 workload resume ${run.workload}/${key} --file <file>`,
    );
  const { digest } =
    before ??
    (await store.refs.compareAndSet(ref, undefined, specDigest, { operation: `submit ${specDigest}`, by, reason }));
  const outcome = await start(temporal, run, { specDigest: digest, onFailure: content.spec.onFailure });
  return { ...run, specDigest: digest, outcome };
}

/** Once it was started, it is never started again by a submit: whether it runs, has ended or was cancelled. */
async function start(
  temporal: Client,
  run: WorkloadRun,
  { specDigest, onFailure, again = false }: Pick<WorkloadInput, 'specDigest' | 'onFailure'> & { again?: boolean },
): Promise<Submitted['outcome']> {
  try {
    await temporal.workflow.start<typeof workload>('workload', {
      workflowId: workloadIds.workload(run),
      workflowIdReusePolicy: again ? 'ALLOW_DUPLICATE' : 'REJECT_DUPLICATE',
      taskQueue: taskQueues.control,
      args: [{ ...run, specDigest, onFailure, round: 1 }],
      staticSummary: `HPC jobs of ${run.workload}`,
    });
    return 'started';
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return 'found';
    throw error;
  }
}

/** A run of a workload: `<workload>/<key>`. */
export class WorkloadHandle {
  readonly #connected: Connected;
  readonly run: WorkloadRun;

  constructor(connected: Connected, id: string) {
    const run = parseWorkloadId(id);
    if (!run)
      throw new InvalidArgument(
        `workload ${JSON.stringify(id)}: expected <workload>/<key>, such as option-pricing/monday`,
      );
    this.#connected = connected;
    this.run = run;
  }

  get #workflow(): WorkflowHandle {
    return this.#connected.temporal.workflow.getHandle(workloadIds.workload(this.run));
  }

  /** @throws NotRunning when it has ended; `report` knows how */
  async status(): Promise<WorkloadStatus & { running: string[]; waiting: number }> {
    const { temporal } = this.#connected;
    const status = await query(temporal, this.#workflow, workloadStatusQuery);
    const waves: WaveStatus[] = [];
    for (const n of status.wavesRunning) {
      const wave = temporal.workflow.getHandle(workloadIds.wave(this.run, n));
      const answer = await query(temporal, wave, waveStatusQuery).catch((error: unknown) => {
        // It has ended between the two questions.
        if (error instanceof NotRunning) return undefined;
        throw error;
      });
      if (answer) waves.push(answer);
    }
    const sum = (of: (wave: WaveStatus) => number): number => waves.reduce((total, wave) => total + of(wave), 0);
    const { counts } = status;
    return {
      ...status,
      counts: {
        succeeded: counts.succeeded + sum((wave) => wave.counts.succeeded),
        failed: counts.failed + sum((wave) => wave.counts.failed),
        cancelled: counts.cancelled + sum((wave) => wave.counts.cancelled),
        skipped: counts.skipped + sum((wave) => wave.counts.skipped),
      },
      running: waves.flatMap((wave) => wave.running),
      waiting: sum((wave) => wave.waiting),
    };
  }

  /** The newest report, from the store: works while Temporal is away. */
  async report() {
    const ref = await this.#connected.store.refs.read(workloadRefs.report(this.run));
    return ref && (await getJson(this.#connected.store, WorkloadReport, ref.digest));
  }

  /** Waits for the end. @throws Goto3Error for a run that was cancelled or terminated: it has none */
  async result(): Promise<WorkloadResult> {
    try {
      return (await this.#workflow.result()) as WorkloadResult;
    } catch (error) {
      if (!(error instanceof WorkflowFailedError)) throw error;
      const id = `${this.run.workload}/${this.run.key}`;
      throw new Goto3Error(
        `${id} has no result: ${error.cause?.message ?? error.message}; goto3 workload resume ${id} goes on from what succeeded`,
        { cause: error },
      );
    }
  }

  /** Ends its jobs in good order; `resume` goes on later. @throws NotRunning */
  async cancel(): Promise<void> {
    await cancel(this.#connected.temporal, this.#workflow);
  }

  /**
   * Runs what failed or is missing: the next round of a parked run, or a run that was cancelled, has ended or was lost.
   * @param content a changed file. @throws Refused while it runs, NotFoundError for a key that was never submitted
   */
  async resume(word: Word, content?: WorkloadFileContent): Promise<Answer> {
    const { temporal, store } = this.#connected;
    const ref = workloadRefs.submitted(this.run);
    let newest = await store.refs.read(ref);
    const id = `${this.run.workload}/${this.run.key}`;
    if (!newest) throw new NotFoundError(`nothing was submitted as ${id}`);
    if (content) {
      if (content.spec.workload !== this.run.workload)
        throw new InvalidArgument(
          `the file is workload ${content.spec.workload}, and the run is of ${this.run.workload}`,
        );
      const document = await takeIn(store, content, word.by);
      if (!(await isSame(store, newest, document))) {
        const digest = await putJson(store, SubmittedWorkload, document);
        newest = await store.refs.compareAndSet(ref, newest, digest, {
          operation: `resume ${word.requestId} with ${digest}`,
          by: word.by,
          reason: word.reason,
        });
      }
    }
    const { spec } = await getJson(store, SubmittedWorkload, newest.digest);
    try {
      return accepted(
        await tell(temporal, this.#workflow, resumeWorkloadUpdate, { ...word, specDigest: newest.digest }),
      );
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error;
    }
    const { onFailure } = spec;
    await start(temporal, this.run, { specDigest: newest.digest, onFailure, again: true });
    return { id, state: 'started', reason: 'started again: what has not succeeded runs' };
  }
}

/** UTC, to the second: `20261124-130500`, and what tells two submits of one second apart. */
const keyOfNow = (): string =>
  `${new Date().toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15)}-${Math.random().toString(36).slice(2, 6)}`;
