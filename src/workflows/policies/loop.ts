import type { LoopInStore } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type {
  Answer,
  CycleFinished,
  LoopPlan,
  LoopState,
  OpenedCycle,
  RefPosition,
  Request,
  RunningCycle,
} from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { findAnswer, rememberAnswer } from './answers.ts';
import { earliestStart, type Gate, withStart } from './loop-limits.ts';

const hourMs = 3_600_000;

/** What the loop does next; the workflow only carries it out. */
export type LoopStep =
  | { kind: 'load' }
  | { kind: 'open'; reason: string; by: string }
  | { kind: 'start'; cycle: OpenedCycle }
  | { kind: 'wait'; untilMs: number | null; watchData: boolean; checkCycle: boolean; waitsFor: string }
  | { kind: 'finish' };

export function initialLoopState(specDigest: Digest): LoopState {
  return {
    version: 1,
    specDigest,
    plan: null,
    loaded: false,
    blocked: null,
    cycles: null,
    fuse: null,
    recordedFuse: null,
    opened: null,
    earlyReport: null,
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
    toldKey: null,
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
    const { blocked, loaded, opened, running, paused, queued, plan } = this.state;
    if (blocked) return waitFor(`a person: ${blocked.reason}`);
    if (!loaded || !plan) return { kind: 'load' };
    if (running) return { ...waitFor(`cycle ${running.n}`, nowMs + hourMs), checkCycle: true };
    if (opened) return { kind: 'start', cycle: opened };
    if (this.isFinished) return { kind: 'finish' };
    if (paused) return waitFor(`resume (paused by ${paused.by}: ${paused.reason})`);
    if (queued) {
      const gate = earliestStart(plan, this.state, nowMs);
      if (gate.atMs > nowMs) return waitFor(gate.because, gate.atMs);
      return { kind: 'open', reason: queued.reason, by: queued.by };
    }
    const watchesData = plan.newRows !== null || plan.liveAccuracyBelow !== null || plan.monitors === true;
    return {
      ...waitFor(watchesData ? 'new data' : 'a request to retrain'),
      watchData: watchesData && (plan.pollMs !== null || this.state.dataHint),
    };
  }

  /**
   * What the store says is where every life begins, and where a life that had to stop goes on: positions are taken as they
   * are; what this life knows better (a pause, the day's starts, a running cycle) it keeps.
   *
   * @param asked the spec that was asked for; another one may have come meanwhile, and is read next
   */
  load(found: LoopInStore, asked: Digest): void {
    const { state } = this;
    const isFirst = state.plan === null;
    state.cycles = found.cycles;
    state.fuse = found.fuse.position;
    const { consecutiveFailures, paused } = found.fuse;
    state.recordedFuse = found.fuse.position && { consecutiveFailures, paused };
    state.opened = state.running ? null : found.unfinished;
    if (isFirst) {
      Object.assign(state, { consecutiveFailures, paused });
      state.recordedFuse = { consecutiveFailures, paused };
      state.finishedCycles = found.finishedCycles;
      state.recent = found.recent;
    }
    if (state.specDigest !== asked) return;
    state.plan = found.plan;
    state.loaded = true;
  }

  /** No retry repairs what has failed. It waits for a person, and then begins with what the store says. */
  block(reason: string, nowMs: number): void {
    this.state.blocked = { reason, sinceMs: nowMs };
    this.state.loaded = false;
  }

  /** When the next cycle may start at the earliest; null while the spec is unknown. */
  earliestStart(nowMs: number): Gate | null {
    return this.state.plan && earliestStart(this.state.plan, this.state, nowMs);
  }

  get isFinished(): boolean {
    const { plan, finishedCycles } = this.state;
    return plan !== null && plan.cycles !== null && finishedCycles >= plan.cycles;
  }

  retrain(request: Request, nowMs: number): Answer {
    return this.answerOnce(request.requestId, () => {
      const { blocked, paused, running, opened, queued, plan } = this.state;
      const id = workflowIds.loop(this.loop);
      if (blocked || !plan)
        return refused(id, `it cannot go on: ${blocked?.reason}; goto3 apply, or goto3 loop resume ${this.loop}`);
      if (this.isFinished) return refused(id, `the loop has run its ${plan.cycles} cycles`);
      if (paused) return refused(id, `paused by ${paused.by}: ${paused.reason}; goto3 loop resume ${this.loop}`);
      if (queued) return { id: queued.id, state: 'queued', reason: `joined the request "${queued.reason}"` };
      const gate = earliestStart(plan, this.state, nowMs);
      const before = running ?? opened;
      if (!before && gate.overBudget && gate.atMs > nowMs)
        return refused(id, `${gate.because}; again from ${iso(gate.atMs)}`);
      const cycle = this.queue(request.reason, request.by, nowMs);
      if (before) return { id: cycle, state: 'queued', reason: `after cycle ${before.n}` };
      if (gate.atMs > nowMs)
        return { id: cycle, state: 'queued', reason: `not before ${iso(gate.atMs)}: ${gate.because}` };
      return { id: cycle, state: 'started', reason: request.reason };
    });
  }

  /** The data program has answered. A trigger asks like anybody, but leaves no answer behind. */
  dataAsked(reason: string | null, askedAtMs: number, nowMs: number): void {
    this.state.dataAskedAtMs = askedAtMs;
    const { queued, paused } = this.state;
    if (reason && !queued && !paused && !this.isFinished) this.queue(reason, 'trigger', nowMs);
  }

  opened(cycle: OpenedCycle, cycles: RefPosition): void {
    this.state.cycles = cycles;
    this.state.opened = cycle;
    this.state.queued = null;
  }

  started(cycle: RunningCycle, nowMs: number): void {
    const { state } = this;
    state.opened = null;
    state.running = cycle;
    state.lastStartedAtMs = nowMs;
    state.recent = withStart(state.recent, nowMs);
    const { earlyReport } = state;
    state.earlyReport = null;
    if (earlyReport) this.finished(earlyReport, nowMs);
  }

  /** Returns false for a report of a cycle that is not the running one (late, doubled, or of an earlier life). */
  finished(report: CycleFinished, nowMs: number): boolean {
    const { state } = this;
    // A quick cycle can be done before its loop has heard that it began.
    if (state.opened?.n === report.n) state.earlyReport = report;
    if (state.running?.n !== report.n) return false;
    const started = state.recent.at(-1);
    if (started) started.gpuHours = report.gpuHours;
    state.running = null;
    state.finishedCycles += 1;
    state.last = { n: report.n, outcome: report.outcome, detail: report.detail, endedAtMs: nowMs };
    state.consecutiveInconclusive = report.inconclusive ? state.consecutiveInconclusive + 1 : 0;
    state.consecutiveFailures = report.failed ? state.consecutiveFailures + 1 : 0;
    // Data may have come while the cycle ran; its announcement must not wait for the next one.
    state.dataHint = true;
    const most = state.plan?.pauseAfterFailures ?? Number.POSITIVE_INFINITY;
    if (state.consecutiveFailures >= most && !state.paused)
      state.paused = {
        by: 'fuse',
        reason: `${state.consecutiveFailures} cycles failed in a row, the last with: ${report.detail}`,
        atMs: nowMs,
      };
    return true;
  }

  pause(request: Request, nowMs: number): Answer {
    return this.answerOnce(request.requestId, () => {
      const { paused, running, opened, plan, blocked } = this.state;
      const id = workflowIds.loop(this.loop);
      if (!plan) return refused(id, `it has not started: ${blocked?.reason}`);
      if (paused) return { id, state: 'done', reason: `already paused by ${paused.by}` };
      this.state.paused = { by: request.by, reason: request.reason, atMs: nowMs };
      const n = (running ?? opened)?.n;
      return { id, state: 'done', reason: n === undefined ? 'paused' : `paused after cycle ${n}` };
    });
  }

  resume(request: Request): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.loop(this.loop);
      const { paused, blocked, plan } = this.state;
      if (!paused && !blocked) return { id, state: 'done', reason: 'was not paused' };
      this.state.blocked = null;
      // Before anything was read there is no pause of ours to end; the one in the store holds.
      if (plan) Object.assign(this.state, { paused: null, consecutiveFailures: 0 });
      return { id, state: 'done', reason: blocked ? 'it tries again' : 'resumed' };
    });
  }

  /** @param plan what the new spec says; it has been read, so it replaces one that may not be readable */
  setSpec(requestId: string, specDigest: Digest, plan: LoopPlan): Answer {
    return this.answerOnce(requestId, () => {
      const { state } = this;
      const id = workflowIds.loop(this.loop);
      const { blocked } = state;
      const isNew = state.specDigest !== specDigest;
      if (isNew) Object.assign(state, { specDigest, dataHint: true });
      state.blocked = null;
      if (blocked) return { id, state: 'done', reason: 'it tries again with this spec' };
      if (!isNew) return { id, state: 'done', reason: 'unchanged' };
      // Before the first load the plan stays unknown: it is how that load knows itself.
      if (state.plan) state.plan = plan;
      const n = (state.running ?? state.opened)?.n;
      return {
        id,
        state: 'done',
        reason: n === undefined ? 'from the next cycle on' : `from the cycle after ${n} on`,
      };
    });
  }

  /** What the fuse's ref should say and does not; null while nothing is known or can be done. */
  fuseToRecord(): Pick<LoopState, 'consecutiveFailures' | 'paused'> | null {
    const { loaded, consecutiveFailures, paused, recordedFuse } = this.state;
    const fuse = { consecutiveFailures, paused };
    return loaded && JSON.stringify(fuse) !== JSON.stringify(recordedFuse) ? fuse : null;
  }

  fuseRecorded(fuse: Pick<LoopState, 'consecutiveFailures' | 'paused'>, position: RefPosition): void {
    this.state.recordedFuse = fuse;
    this.state.fuse = position;
  }

  private queue(reason: string, by: string, nowMs: number): string {
    const id = workflowIds.cycle(this.loop, (this.state.cycles?.entry ?? 0) + 1);
    this.state.queued = { id, reason, by, requestedAtMs: nowMs };
    return id;
  }

  private answerOnce(requestId: string, decide: () => Answer): Answer {
    return findAnswer(this.state.answers, requestId) ?? rememberAnswer(this.state.answers, requestId, decide());
  }
}

const waitFor = (waitsFor: string, untilMs: number | null = null): Extract<LoopStep, { kind: 'wait' }> => ({
  kind: 'wait',
  untilMs,
  watchData: false,
  checkCycle: false,
  waitsFor,
});
const refused = (id: string, reason: string): Answer => ({ id, state: 'refused', reason });
const iso = (ms: number): string => new Date(ms).toISOString();
