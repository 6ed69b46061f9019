import type { Digest } from '../../contracts/digest.ts';
import type {
  Answer,
  CycleFinished,
  LoopPlan,
  LoopState,
  LoopStatus,
  RefPosition,
  Request,
  RunningCycle,
} from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { findAnswer, rememberAnswer } from './answers.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

/** What the loop does next; the workflow only carries it out. */
export type LoopStep =
  | { kind: 'start'; reason: string; by: string }
  | { kind: 'wait'; untilMs: number | null; watchData: boolean; checkCycle: boolean; waitsFor: string }
  | { kind: 'finish' };

export function initialLoopState(specDigest: Digest, plan: LoopPlan): LoopState {
  return {
    version: 1,
    specDigest,
    plan,
    cycles: null,
    fuse: null,
    running: null,
    queued: null,
    paused: null,
    consecutiveFailures: 0,
    consecutiveInconclusive: 0,
    lastStartedAtMs: null,
    last: null,
    recent: [],
    finishedCycles: 0,
    dataHint: true,
    dataAskedAtMs: null,
    answers: [],
    droppedSignals: 0,
  };
}

/** Every decision of a loop: limits, coalescing, fuse, pause. Time comes in as an argument; nothing here waits or calls. */
export class LoopMachine {
  readonly loop: string;
  readonly state: LoopState;

  constructor(loop: string, state: LoopState) {
    this.loop = loop;
    this.state = state;
  }

  next(nowMs: number): LoopStep {
    const { running, paused, queued, plan } = this.state;
    if (running)
      return {
        kind: 'wait',
        untilMs: nowMs + hourMs,
        watchData: false,
        checkCycle: true,
        waitsFor: `cycle ${running.n}`,
      };
    if (this.isFinished()) return { kind: 'finish' };
    if (paused)
      return {
        kind: 'wait',
        untilMs: null,
        watchData: false,
        checkCycle: false,
        waitsFor: `resume (paused by ${paused.by}: ${paused.reason})`,
      };
    if (queued) {
      const gate = this.earliestStart(nowMs);
      if (gate.atMs <= nowMs) return { kind: 'start', reason: queued.reason, by: queued.by };
      return { kind: 'wait', untilMs: gate.atMs, watchData: false, checkCycle: false, waitsFor: gate.because };
    }
    const watchData = this.watchesData() && (plan.pollMs !== null || this.state.dataHint);
    return {
      kind: 'wait',
      untilMs: null,
      watchData,
      checkCycle: false,
      waitsFor: this.watchesData() ? 'new data' : 'a request to retrain',
    };
  }

  /** Limits decide when the next cycle may start at the earliest. */
  earliestStart(nowMs: number): { atMs: number; because: string; overBudget: boolean } {
    const { plan, lastStartedAtMs } = this.state;
    const recent = this.state.recent.filter((r) => r.startedAtMs > nowMs - dayMs);
    const gates = [{ atMs: nowMs, because: '', overBudget: false }];
    if (lastStartedAtMs !== null)
      gates.push({
        atMs: lastStartedAtMs + plan.minIntervalMs,
        because: 'the minimum interval between cycles',
        overBudget: false,
      });
    if (recent.length >= plan.cyclesPerDay)
      gates.push({
        atMs: recent[recent.length - plan.cyclesPerDay]!.startedAtMs + dayMs,
        because: `the limit of ${plan.cyclesPerDay} cycles a day`,
        overBudget: true,
      });
    let gpuHours = sum(recent.map((r) => r.gpuHours));
    for (const r of recent) {
      if (gpuHours < plan.gpuHoursPerDay) break;
      gpuHours -= r.gpuHours;
      gates.push({
        atMs: r.startedAtMs + dayMs,
        because: `the budget of ${plan.gpuHoursPerDay} GPU hours a day`,
        overBudget: true,
      });
    }
    return gates.reduce((a, b) => (b.atMs > a.atMs ? b : a));
  }

  retrain(request: Request, nowMs: number): Answer {
    return this.answerOnce(request.requestId, () => {
      const { paused, running, queued } = this.state;
      if (this.isFinished())
        return refused(workflowIds.loop(this.loop), `the loop has run its ${this.state.plan.cycles} cycles`);
      if (paused)
        return refused(
          workflowIds.loop(this.loop),
          `paused by ${paused.by}: ${paused.reason}; goto3 loop resume ${this.loop}`,
        );
      if (queued) return { id: queued.id, state: 'queued', reason: `joined the request "${queued.reason}"` };
      const gate = this.earliestStart(nowMs);
      if (!running && gate.overBudget && gate.atMs > nowMs)
        return refused(workflowIds.loop(this.loop), `${gate.because}; again from ${iso(gate.atMs)}`);
      const id = workflowIds.cycle(this.loop, this.nextCycleNumber());
      this.state.queued = { id, reason: request.reason, by: request.by, requestedAtMs: nowMs };
      if (running) return { id, state: 'queued', reason: `after cycle ${running.n}` };
      if (gate.atMs > nowMs) return { id, state: 'queued', reason: `not before ${iso(gate.atMs)}: ${gate.because}` };
      return { id, state: 'started', reason: request.reason };
    });
  }

  /** The data program has answered. A trigger asks like anybody, but leaves no answer behind. */
  dataAsked(reason: string | null, askedAtMs: number, nowMs: number): void {
    this.state.dataAskedAtMs = askedAtMs;
    const { queued, paused } = this.state;
    if (!reason || queued || paused || this.isFinished()) return;
    this.state.queued = {
      id: workflowIds.cycle(this.loop, this.nextCycleNumber()),
      reason,
      by: 'trigger',
      requestedAtMs: nowMs,
    };
  }

  started(cycle: RunningCycle, cycles: RefPosition, nowMs: number): void {
    this.state.cycles = cycles;
    this.state.running = cycle;
    this.state.queued = null;
    this.state.lastStartedAtMs = nowMs;
    this.state.recent = [
      ...this.state.recent.filter((r) => r.startedAtMs > nowMs - dayMs),
      { startedAtMs: nowMs, gpuHours: 0 },
    ];
  }

  /** Returns false for a report of a cycle that is not the running one (late, doubled, or of an earlier life). */
  finished(report: CycleFinished, nowMs: number): boolean {
    if (this.state.running?.n !== report.n) return false;
    const { state } = this;
    const started = state.recent.at(-1);
    if (started) started.gpuHours = report.gpuHours;
    state.running = null;
    state.finishedCycles += 1;
    state.last = { n: report.n, outcome: report.outcome, detail: report.detail, endedAtMs: nowMs };
    state.consecutiveInconclusive = report.inconclusive ? state.consecutiveInconclusive + 1 : 0;
    state.consecutiveFailures = report.failed ? state.consecutiveFailures + 1 : 0;
    // Data may have come while the cycle ran; its announcement must not wait for the next one.
    state.dataHint = true;
    if (state.consecutiveFailures >= state.plan.pauseAfterFailures && !state.paused)
      state.paused = {
        by: 'fuse',
        reason: `${state.consecutiveFailures} cycles failed in a row, the last with: ${report.detail}`,
        atMs: nowMs,
      };
    return true;
  }

  pause(request: Request, nowMs: number): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.loop(this.loop);
      if (this.state.paused) return { id, state: 'done', reason: `already paused by ${this.state.paused.by}` };
      this.state.paused = { by: request.by, reason: request.reason, atMs: nowMs };
      return {
        id,
        state: 'done',
        reason: this.state.running ? `paused after cycle ${this.state.running.n}` : 'paused',
      };
    });
  }

  resume(request: Request): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.loop(this.loop);
      if (!this.state.paused) return { id, state: 'done', reason: 'was not paused' };
      this.state.paused = null;
      this.state.consecutiveFailures = 0;
      return { id, state: 'done', reason: 'resumed' };
    });
  }

  setSpec(requestId: string, specDigest: Digest, plan: LoopPlan): Answer {
    return this.answerOnce(requestId, () => {
      const id = workflowIds.loop(this.loop);
      if (this.state.specDigest === specDigest) return { id, state: 'done', reason: 'unchanged' };
      this.state.specDigest = specDigest;
      this.state.plan = plan;
      this.state.dataHint = true;
      return {
        id,
        state: 'done',
        reason: this.state.running ? `from the cycle after ${this.state.running.n} on` : 'from the next cycle on',
      };
    });
  }

  /** What needs a person, for the search attribute; null when nothing does. */
  attention(nowMs: number): string | null {
    if (this.state.paused?.by === 'fuse') return 'paused';
    const gate = this.earliestStart(nowMs);
    return this.state.queued && gate.overBudget && gate.atMs > nowMs ? 'overBudget' : null;
  }

  status(nowMs: number): LoopStatus {
    const { state } = this;
    const step = this.next(nowMs);
    const recent = state.recent.filter((r) => r.startedAtMs > nowMs - dayMs);
    return {
      loop: this.loop,
      state:
        this.isFinished() && !state.running ? 'finished' : state.running ? 'running' : state.paused ? 'paused' : 'idle',
      specDigest: state.specDigest,
      running: state.running,
      queued: state.queued,
      paused: state.paused,
      last: state.last,
      consecutiveFailures: state.consecutiveFailures,
      finishedCycles: state.finishedCycles,
      waitsFor:
        step.kind === 'wait'
          ? step.waitsFor
          : step.kind === 'start'
            ? 'nothing: the next cycle starts'
            : 'nothing: all cycles have run',
      nextNotBeforeMs: step.kind === 'wait' && !step.checkCycle ? step.untilMs : null,
      gpuHoursToday: sum(recent.map((r) => r.gpuHours)),
      cyclesToday: recent.length,
      dataAskedAtMs: state.dataAskedAtMs,
      droppedSignals: state.droppedSignals,
    };
  }

  private isFinished(): boolean {
    return this.state.plan.cycles !== null && this.state.finishedCycles >= this.state.plan.cycles;
  }

  private watchesData(): boolean {
    return this.state.plan.newRows !== null || this.state.plan.liveAccuracyBelow !== null;
  }

  private nextCycleNumber(): number {
    return (this.state.cycles?.entry ?? 0) + 1;
  }

  private answerOnce(requestId: string, decide: () => Answer): Answer {
    return findAnswer(this.state.answers, requestId) ?? rememberAnswer(this.state.answers, requestId, decide());
  }
}

const refused = (id: string, reason: string): Answer => ({ id, state: 'refused', reason });
const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
const iso = (ms: number): string => new Date(ms).toISOString();
