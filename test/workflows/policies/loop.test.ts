import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { LoopPlan, LoopState } from '../../../src/contracts/messages.ts';
import { rememberedAnswers } from '../../../src/workflows/policies/answers.ts';
import { initialLoopState, LoopMachine } from '../../../src/workflows/policies/loop.ts';
import { digestOf } from '../world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const plan: LoopPlan = {
  model: 'm',
  endpoint: null,
  pollMs: null,
  newRows: 100,
  liveAccuracyBelow: null,
  minIntervalMs: 0,
  cyclesPerDay: 3,
  gpuHoursPerDay: 10,
  pauseAfterFailures: 3,
  cycles: null,
};
const machineWith = (more: Partial<LoopPlan> = {}, state: Partial<LoopState> = {}): LoopMachine =>
  new LoopMachine('l', { ...initialLoopState(digestOf('spec'), { ...plan, ...more }), ...state });
const request = (requestId: string) => ({ requestId, reason: `for ${requestId}`, by: 'ann' });
const position = (entry: number) => ({ entry, digest: digestOf(`c${entry}`), operation: `open ${entry}` });

/** Starts what is queued, as the workflow does. */
function start(machine: LoopMachine, now: number): number {
  const n = (machine.state.cycles?.entry ?? 0) + 1;
  machine.started({ n, workflowId: `cycle/l/${n}`, runId: 'r', reason: 'x', startedAtMs: now }, position(n), now);
  return n;
}
const end = (
  machine: LoopMachine,
  n: number,
  now: number,
  more: { failed?: boolean; gpuHours?: number; inconclusive?: boolean } = {},
): boolean =>
  machine.finished({ n, outcome: 'x', detail: 'd', failed: false, inconclusive: false, gpuHours: 0, ...more }, now);

describe('policies/loop', () => {
  it('watches data, starts on a trigger, and watches again', () => {
    const machine = machineWith();
    assert.deepEqual(
      { ...machine.next(0) },
      { kind: 'wait', untilMs: null, watchData: true, checkCycle: false, waitsFor: 'new data' },
    );
    machine.dataAsked('120 new rows', 1, 2);
    assert.equal(machine.next(2).kind, 'start');
    const n = start(machine, 2);
    assert.equal(machine.next(3).kind, 'wait');
    assert.ok(end(machine, n, 10));
    const after = machine.next(11);
    assert.ok(after.kind === 'wait' && after.watchData, 'data may have come while the cycle ran');
  });

  it('refuses what the day’s limits do not allow, and says from when on', () => {
    const machine = machineWith({ cyclesPerDay: 1 });
    machine.retrain(request('a'), 0);
    end(machine, start(machine, 0), 1_000);
    const refused = machine.retrain(request('b'), 2_000);
    assert.equal(refused.state, 'refused');
    assert.match(refused.reason, /1 cycles a day; again from 1970-01-02T00:00:00.000Z/);
    assert.equal(machine.retrain(request('c'), day + 1).state, 'started');
  });

  it('holds the GPU budget over the last day', () => {
    const machine = machineWith({ cyclesPerDay: 100, gpuHoursPerDay: 2 });
    machine.retrain(request('a'), 0);
    end(machine, start(machine, 0), hour, { gpuHours: 1.5 });
    machine.retrain(request('b'), hour);
    end(machine, start(machine, hour), 2 * hour, { gpuHours: 1 });
    assert.match(machine.retrain(request('c'), 3 * hour).reason, /budget of 2 GPU hours/);
    assert.equal(machine.retrain(request('d'), day + 1).state, 'started', 'the first cycle is a day old');
  });

  it('queues within the minimum interval instead of refusing', () => {
    const machine = machineWith({ minIntervalMs: hour });
    machine.retrain(request('a'), 0);
    end(machine, start(machine, 0), 1_000);
    assert.equal(machine.retrain(request('b'), 2_000).state, 'queued');
    const step = machine.next(2_000);
    assert.ok(step.kind === 'wait' && step.untilMs === hour);
    assert.equal(machine.next(hour).kind, 'start');
  });

  it('ignores reports of cycles that are not running', () => {
    const machine = machineWith();
    machine.retrain(request('a'), 0);
    const n = start(machine, 0);
    assert.equal(end(machine, n + 1, 5), false);
    assert.ok(end(machine, n, 5));
    assert.equal(end(machine, n, 6), false, 'a second report of the same cycle');
  });

  it('blows the fuse after failures in a row, a success resets it, resume too', () => {
    const machine = machineWith({ cyclesPerDay: 100 });
    for (const failed of [true, true, false, true, true, true]) {
      machine.retrain(request(`r${machine.state.finishedCycles}`), 0);
      end(machine, start(machine, 0), 0, { failed });
    }
    assert.equal(machine.state.paused?.by, 'fuse');
    assert.equal(machine.attention(0), 'paused');
    machine.resume(request('u'));
    assert.deepEqual([machine.state.paused, machine.state.consecutiveFailures], [null, 0]);
  });

  it('remembers a bounded number of answers, whatever is asked', () => {
    const machine = machineWith();
    for (let i = 0; i < rememberedAnswers + 50; i += 1) machine.retrain(request(`r${i}`), i);
    assert.equal(machine.state.answers.length, rememberedAnswers);
  });

  it('never runs two cycles, keeps bounded state and survives JSON, under any sequence of messages', () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant('retrain' as const), id: fc.integer({ min: 0, max: 20 }) }),
      fc.record({ kind: fc.constant('data' as const), fires: fc.boolean() }),
      fc.record({ kind: fc.constant('end' as const), failed: fc.boolean(), late: fc.boolean() }),
      fc.record({ kind: fc.constant('pause' as const), id: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('resume' as const), id: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ kind: fc.constant('time' as const), by: fc.integer({ min: 0, max: 2 * day }) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120 }), (commands) => {
        let machine = machineWith({ cyclesPerDay: 3, minIntervalMs: 1_000 });
        let now = 1;
        let opened = 0;
        for (const step of commands) {
          if (step.kind === 'retrain') machine.retrain(request(`r${step.id}`), now);
          if (step.kind === 'data') machine.dataAsked(step.fires ? 'rows' : null, now, now);
          if (step.kind === 'pause') machine.pause(request(`p${step.id}`), now);
          if (step.kind === 'resume') machine.resume(request(`u${step.id}`));
          if (step.kind === 'end')
            end(machine, (machine.state.running?.n ?? 1) - (step.late ? 1 : 0), now, { failed: step.failed });
          if (step.kind === 'time') now += step.by;
          const next = machine.next(now);
          if (next.kind === 'start') {
            assert.equal(machine.state.running, null);
            assert.equal(start(machine, now), opened + 1, 'numbers rise by one');
            opened += 1;
          }
          assert.ok(machine.state.recent.filter((r) => r.startedAtMs > now - day).length <= 3, 'the daily limit holds');
          // A continue-as-new at any point changes nothing.
          machine = new LoopMachine('l', JSON.parse(JSON.stringify(machine.state)) as LoopState);
        }
      }),
      { numRuns: 200 },
    );
  });
});
