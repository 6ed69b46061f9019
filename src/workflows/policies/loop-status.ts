import type { LoopStatus, Notice } from '../../contracts/messages.ts';
import type { LoopMachine } from './loop.ts';
import { cyclesOf, gpuHoursOf, ofTheLastDay } from './loop-limits.ts';

/** What a loop says of itself to whoever asks. */
export function loopStatus(machine: LoopMachine, nowMs: number): LoopStatus {
  const { state } = machine;
  const step = machine.next(nowMs);
  const today = ofTheLastDay(state.recent, nowMs);
  return {
    loop: machine.loop,
    state: stateOf(machine),
    specDigest: state.specDigest,
    running: state.running,
    queued: state.queued,
    paused: state.paused,
    blocked: state.blocked,
    command: attentionOf(machine, nowMs)?.command ?? (state.paused ? resume(machine.loop) : null),
    last: state.last,
    consecutiveFailures: state.consecutiveFailures,
    finishedCycles: state.finishedCycles,
    waitsFor: {
      load: () => 'what the store knows of it',
      open: () => 'nothing: the next cycle starts',
      start: () => 'nothing: the next cycle starts',
      finish: () => 'nothing: all cycles have run',
      wait: () => (step.kind === 'wait' ? step.waitsFor : ''),
    }[step.kind](),
    nextNotBeforeMs: step.kind === 'wait' && !step.checkCycle ? step.untilMs : null,
    gpuHoursToday: gpuHoursOf(today),
    cyclesToday: cyclesOf(today),
    dataAskedAtMs: state.dataAskedAtMs,
    droppedSignals: state.droppedSignals,
  };
}

function stateOf({ state, isFinished }: LoopMachine): LoopStatus['state'] {
  if (state.blocked) return 'parked';
  if (state.running || state.opened) return 'running';
  if (isFinished) return 'finished';
  return state.paused ? 'paused' : 'idle';
}

export interface Attention {
  /** Kind of act, for the search attribute and for `notify.on`. */
  kind: 'parked' | 'paused' | 'overBudget';
  sinceMs: number;
  text: string;
  command: string;
}

/** What needs a person; null when nothing does. A pause that a person asked for is nobody's news. */
export function attentionOf(machine: LoopMachine, nowMs: number): Attention | null {
  const { loop, state } = machine;
  if (state.blocked)
    return {
      kind: 'parked',
      sinceMs: state.blocked.sinceMs,
      text: `the loop ${loop} cannot go on: ${state.blocked.reason}`,
      command: `goto3 apply <file>\n${resume(loop)}`,
    };
  if (state.paused?.by === 'fuse')
    return {
      kind: 'paused',
      sinceMs: state.paused.atMs,
      text: `the loop ${loop} has paused itself: ${state.paused.reason}`,
      command: resume(loop),
    };
  const gate = machine.earliestStart(nowMs);
  if (!state.queued || !gate?.overBudget || gate.atMs <= nowMs) return null;
  return {
    kind: 'overBudget',
    sinceMs: state.queued.requestedAtMs,
    text: `cycle "${state.queued.reason}" of ${loop} waits until ${iso(gate.atMs)}: ${gate.because}`,
    command: 'goto3 apply <file with higher limits>',
  };
}

/** What has to be posted now: each attention once, for its whole duration and over every continue-as-new. */
export function noticeOf(machine: LoopMachine, nowMs: number): Notice | null {
  const attention = attentionOf(machine, nowMs);
  if (!attention || !machine.state.plan?.notifyOn.includes(attention.kind)) return null;
  const { kind, sinceMs, text, command } = attention;
  const key = `loop/${machine.loop}/${kind}/${sinceMs}`;
  return key === machine.state.toldKey ? null : { key, event: kind, text, command };
}

const resume = (loop: string): string => `goto3 loop resume ${loop} --reason "..."`;
const iso = (ms: number): string => new Date(ms).toISOString();
