import type { JobResult } from '../../contracts/messages.ts';
import type {
  EndedJob,
  FailedJob,
  PreparedJob,
  WaveJob,
  WaveResult,
  WaveStatus,
  WorkloadCounts,
} from '../../contracts/workload-messages.ts';

type State = 'waiting' | 'starting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'skipped';

/** Failures that are told with their reason; the store has all. */
const toldFailures = 10;

const nothing = { failureClass: null, lastAttempt: 0, output: null, tasks: null, durationMs: 0, gpuHours: 0 };

export const noCounts = (): WorkloadCounts => ({ succeeded: 0, failed: 0, cancelled: 0, skipped: 0 });

export const addCounts = (a: WorkloadCounts, b: WorkloadCounts): WorkloadCounts => ({
  succeeded: a.succeeded + b.succeeded,
  failed: a.failed + b.failed,
  cancelled: a.cancelled + b.cancelled,
  skipped: a.skipped + b.skipped,
});

/** Which jobs of a wave wait, run and have ended. It decides; the workflow does. */
export class WaveBoard {
  readonly #jobs: ReadonlyMap<string, WaveJob>;
  readonly #states = new Map<string, State>();
  readonly #ended: EndedJob[] = [];
  /** Arrays that failed and have tasks that succeeded. */
  readonly #partly = new Set<string>();
  readonly failures: FailedJob[] = [];

  constructor(jobs: readonly WaveJob[]) {
    this.#jobs = new Map(jobs.map((job) => [job.name, job]));
    const first = { todo: 'waiting', done: 'succeeded', blocked: 'skipped' } as const;
    for (const { name, standing } of jobs) this.#states.set(name, first[standing]);
  }

  get isOver(): boolean {
    return ![...this.#states.values()].some(
      (state) => state === 'waiting' || state === 'starting' || state === 'running',
    );
  }

  get hasNews(): boolean {
    return this.#ended.length > 0;
  }

  /** Jobs that can start now; those that never will are skipped. Each is given out once. */
  takeReady(): string[] {
    const ready: string[] = [];
    for (let changed = true; changed; ) {
      changed = false;
      for (const [name, { needs }] of this.#jobs) {
        if (this.#states.get(name) !== 'waiting') continue;
        const verdicts = needs.map(([other, how]) => verdictOn(this.#states.get(other)!, how, this.#partly.has(other)));
        if (verdicts.includes('never')) {
          this.#states.set(name, 'skipped');
          changed = true;
        } else if (verdicts.every((verdict) => verdict === 'met')) {
          this.#states.set(name, 'starting');
          ready.push(name);
        }
      }
    }
    return ready;
  }

  /** Ends that nobody has recorded yet. */
  takeEnded(): EndedJob[] {
    return this.#ended.splice(0);
  }

  started(job: string): void {
    this.#states.set(job, 'running');
  }

  end({ job }: PreparedJob, result: JobResult): void {
    this.#states.set(job, result.state);
    if (result.tasks && result.tasks.succeeded > 0) this.#partly.add(job);
    const { state, failureClass, reason, lastAttempt, output, durationMs, gpuHours, tasks = null } = result;
    this.#ended.push({ job, state, failureClass, reason, lastAttempt, output, durationMs, gpuHours, tasks });
    if (state === 'failed' && this.failures.length < toldFailures)
      this.failures.push({
        job,
        failureClass: failureClass ?? 'infrastructure',
        reason: reason.slice(0, 500),
        lastAttempt,
      });
  }

  /** The `job` workflow itself failed, which is nobody's failure class: somebody terminated it, say. */
  lose(prepared: PreparedJob, reason: string): void {
    this.end(prepared, {
      ...{ state: 'failed', failureClass: 'lost', reason },
      ...{ attempts: 1, lastAttempt: 0, model: null, output: null, metrics: {}, gpuHours: 0, durationMs: 0 },
    });
  }

  /** A person has cancelled this job alone (`goto3 job cancel`); what needs it will not start. */
  cancelled({ job }: PreparedJob): void {
    this.#states.set(job, 'cancelled');
    this.#ended.push({ job, state: 'cancelled', reason: 'the job was cancelled', ...nothing });
  }

  /** Everything that is under way is cancelled; what waits will not start. */
  cancel(): EndedJob[] {
    const cancelled = [...this.#states].filter(([, state]) => state === 'running' || state === 'starting');
    for (const [name] of cancelled) this.#states.set(name, 'cancelled');
    return [
      ...this.takeEnded(),
      ...cancelled.map(
        ([job]): EndedJob => ({ job, state: 'cancelled', reason: 'the workload was cancelled', ...nothing }),
      ),
    ];
  }

  result(): WaveResult {
    const counts = noCounts();
    for (const state of this.#states.values()) if (state in counts) counts[state as keyof WorkloadCounts] += 1;
    return { ...counts, failures: this.failures };
  }

  status(): WaveStatus {
    const inState = (state: State): string[] => [...this.#states].filter(([, s]) => s === state).map(([name]) => name);
    const { failures: _failures, ...counts } = this.result();
    return { running: inState('running'), waiting: inState('waiting').length + inState('starting').length, counts };
  }
}

/** What the state of a needed job means for the one that needs it. */
function verdictOn(state: State, how: WaveJob['needs'][number][1], partly: boolean): 'met' | 'never' | 'wait' {
  if (state === 'waiting' || state === 'starting' || state === 'running') return 'wait';
  if (state === 'succeeded') return 'met';
  if (how === 'finished') return state === 'cancelled' ? 'never' : 'met';
  // Tasks whose partner succeeded have all that they need.
  return how === 'each' && state === 'failed' && partly ? 'met' : 'never';
}
