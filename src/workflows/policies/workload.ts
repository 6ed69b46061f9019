import type { Answer } from '../../contracts/messages.ts';
import type {
  FailedJob,
  ResumeWorkload,
  WaveResult,
  WorkloadCounts,
  WorkloadInput,
  WorkloadResult,
  WorkloadStatus,
} from '../../contracts/workload-messages.ts';
import { addCounts, noCounts } from './workload-wave.ts';

/** 400 jobs under way: the hpc worker has 500 slots, and others want some. */
const wavesAtOnce = 2;
const rememberedAnswers = 1_000;
const toldFailures = 10;

/** Which waves of a workload wait, run and have ended, and what it waits for. */
export class WorkloadMachine {
  readonly #input: WorkloadInput;
  readonly #answers: [string, Answer][];
  #jobs = 0;
  #counts: WorkloadCounts = noCounts();
  #failures: FailedJob[] = [];
  #waiting: { n: number; needs: number[] }[] = [];
  readonly #running = new Set<number>();
  #waves = 0;
  #state: WorkloadStatus['state'] = 'running';
  endedWaves = 0;
  /** The next round, once a person has asked for it. */
  next: WorkloadInput | null = null;

  constructor(input: WorkloadInput) {
    this.#input = input;
    this.#answers = input.answers ?? [];
  }

  opened({ jobs, done, waves }: { jobs: number; done: number; waves: { n: number; needs: number[] }[] }): void {
    this.#jobs = jobs;
    // Those of a wave that is not over are counted with it.
    this.#counts = { ...noCounts(), succeeded: waves.length === 0 ? done : 0 };
    this.#waiting = [...waves];
    this.#waves = waves.length;
  }

  get wavesAreOver(): boolean {
    return this.#waiting.length === 0 && this.#running.size === 0;
  }

  /** Waves that can start now. */
  takeWaves(): number[] {
    const open = new Set([...this.#waiting.map(({ n }) => n), ...this.#running]);
    const ready = this.#waiting
      .filter(({ needs }) => needs.every((n) => !open.has(n)))
      .slice(0, wavesAtOnce - this.#running.size)
      .map(({ n }) => n);
    this.#waiting = this.#waiting.filter(({ n }) => !ready.includes(n));
    for (const n of ready) this.#running.add(n);
    return ready;
  }

  waveEnded(n: number, { failures, ...counts }: WaveResult): void {
    this.#running.delete(n);
    this.endedWaves += 1;
    this.#counts = addCounts(this.#counts, counts);
    this.#failures = [...this.#failures, ...failures].slice(0, toldFailures);
  }

  park(result: WorkloadResult): void {
    this.#take(result);
    this.#state = 'parked';
  }

  ends(result: WorkloadResult): void {
    this.#take(result);
    this.#state = 'ending';
  }

  /** Asking twice is asking once, also over rounds. */
  resume(request: ResumeWorkload): Answer {
    const before = this.#answers.find(([id]) => id === request.requestId);
    if (before) return before[1];
    const { workload, key, round } = this.#input;
    const id = `${workload}/${key}`;
    if (this.#state !== 'parked' || this.next !== null)
      return { id, state: 'refused', reason: `${id} is not parked: it is ${this.next ? 'resuming' : this.#state}` };
    const answer: Answer = { id, state: 'started', reason: `round ${round + 1} runs what failed or is missing` };
    const answers = [...this.#answers, [request.requestId, answer] as [string, Answer]].slice(-rememberedAnswers);
    const specDigest = request.specDigest ?? this.#input.specDigest;
    this.next = { ...this.#input, specDigest, round: round + 1, answers };
    return answer;
  }

  get attention(): string | null {
    return this.#state === 'parked' && this.next === null ? 'parked' : null;
  }

  status(): WorkloadStatus {
    const { workload, key, round } = this.#input;
    const parked = this.attention !== null;
    return {
      ...{ workload, key, round, state: this.#state, jobs: this.#jobs, counts: this.#counts },
      ...{ wavesRunning: [...this.#running].sort((a, b) => a - b), waves: this.#waves, failures: this.#failures },
      waitsFor: parked ? `a person: ${this.#counts.failed} failed` : this.#state === 'running' ? 'its jobs' : 'nothing',
      command: parked ? `goto3 workload resume ${workload}/${key} --reason "..."` : null,
    };
  }

  /** Markdown for the Web UI: the command that unblocks it first. */
  details(): string {
    const { command, counts, waves, wavesRunning, round, waitsFor, failures, jobs } = this.status();
    const { succeeded, failed, cancelled, skipped } = counts;
    return [
      ...(command === null ? [] : [`\`${command}\``, '']),
      '| | |',
      '| - | - |',
      `| waits for | ${waitsFor} |`,
      `| round | ${round} |`,
      `| waves | ${this.endedWaves} of ${waves} ended, ${wavesRunning.length} running |`,
      `| jobs | ${jobs}: ${succeeded} succeeded, ${failed} failed, ${skipped} skipped, ${cancelled} cancelled |`,
      ...failures.map(({ job, failureClass, reason }) => `| ${job} | **${failureClass}** ${cell(reason)} |`),
    ].join('\n');
  }

  #take({ failures, succeeded, failed, cancelled, skipped }: WorkloadResult): void {
    this.#counts = { succeeded, failed, cancelled, skipped };
    this.#failures = failures;
  }
}

const cell = (text: string): string =>
  text
    .replaceAll(/[|\r\n]+/g, ' ')
    .replaceAll('[', '\\[')
    .slice(0, 200);
