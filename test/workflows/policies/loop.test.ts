import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { LoopInStore } from '../../../src/contracts/activities.ts';
import type { LoopPlan, LoopState } from '../../../src/contracts/messages.ts';
import { rememberedAnswers, rememberedCharacters } from '../../../src/workflows/policies/answers.ts';
import { initialLoopState, LoopMachine } from '../../../src/workflows/policies/loop.ts';
import { attentionOf, loopStatus, noticeOf } from '../../../src/workflows/policies/loop-status.ts';
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
  notifyOn: [],
};
const machineWith = (more: Partial<LoopPlan> = {}, state: Partial<LoopState> = {}): LoopMachine =>
  new LoopMachine('l', {
    ...initialLoopState(digestOf('spec')),
    plan: { ...plan, ...more },
    loaded: true,
    ...state,
  });
const request = (requestId: string) => ({ requestId, reason: `for ${requestId}`, by: 'ann' });
const position = (entry: number) => ({ entry, digest: digestOf(`c${entry}`), operation: `open ${entry}` });

/** Starts what is queued, as the workflow does. */
function start(machine: LoopMachine, now: number): number {
  const n = (machine.state.cycles?.entry ?? 0) + 1;
  machine.opened({ n, specDigest: digestOf('spec'), reason: 'x', by: 'y' }, position(n));
  machine.started({ n, workflowId: `cycle/l/${n}`, runId: 'r', reason: 'x', startedAtMs: now }, now);
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
  it('remembers a day of very many cycles in a bounded state, and its limits hold no shorter', () => {
    const most = 3_000;
    const machine = machineWith({ cyclesPerDay: most, gpuHoursPerDay: 1_000 });
    const stepMs = 10_000;
    for (let i = 0; i < most; i++) end(machine, start(machine, i * stepMs), i * stepMs + 1, { gpuHours: 0.1 });
    const afterMs = most * stepMs;
    assert.ok(machine.state.recent.length <= 101, `${machine.state.recent.length} starts are carried along`);
    const { cyclesToday, gpuHoursToday } = loopStatus(machine, afterMs);
    assert.equal(cyclesToday, most);
    assert.ok(Math.abs(gpuHoursToday - 300) < 1e-6);
    const { atMs, because } = machine.earliestStart(afterMs)!;
    assert.match(because, /3000 cycles a day/);
    assert.ok(atMs >= day && atMs <= day + hour / 4, `the first start is forgotten at ${atMs}`);
    assert.equal(loopStatus(machine, afterMs + day).cyclesToday, 0);
  });

  it('watches data, starts on a trigger, and watches again', () => {
    const machine = machineWith();
    assert.deepEqual(
      { ...machine.next(0) },
      { kind: 'wait', untilMs: null, watchData: true, checkCycle: false, waitsFor: 'new data' },
    );
    machine.dataAsked('120 new rows', 1, 2);
    assert.equal(machine.next(2).kind, 'open');
    const n = start(machine, 2);
    assert.equal(machine.next(3).kind, 'wait');
    assert.ok(end(machine, n, 10));
    const after = machine.next(11);
    assert.ok(after.kind === 'wait' && after.watchData, 'data may have come while the cycle ran');
  });

  it('watches data for a monitor alone, and not without any reason to', () => {
    const none = { newRows: null, liveAccuracyBelow: null };
    const watches = (plan: Partial<LoopPlan>): boolean => {
      const step = machineWith({ ...none, ...plan }).next(0);
      return step.kind === 'wait' && step.watchData;
    };
    assert.deepEqual([watches({}), watches({ monitors: true })], [false, true]);
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
    assert.equal(machine.next(hour).kind, 'open');
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
    assert.equal(attentionOf(machine, 0)?.kind, 'paused');
    machine.resume(request('u'));
    assert.deepEqual([machine.state.paused, machine.state.consecutiveFailures], [null, 0]);
  });

  it('remembers a bounded number of answers, whatever is asked', () => {
    const machine = machineWith();
    for (let i = 0; i < rememberedAnswers + 50; i += 1) machine.retrain(request(`r${i}`), i);
    assert.equal(machine.state.answers.length, rememberedAnswers);
    for (let i = 0; i < rememberedAnswers; i += 1)
      machine.retrain({ requestId: `long-${i}-${'x'.repeat(230)}`, reason: 'y'.repeat(2_000), by: 'ann' }, i);
    assert.ok(JSON.stringify(machine.state.answers).length < 1.5 * rememberedCharacters, 'it fits a continue-as-new');
    const newest = `long-${rememberedAnswers - 1}-${'x'.repeat(230)}`;
    assert.ok(
      machine.state.answers.some(([id]) => id === newest),
      'the newest stays',
    );
  });

  describe('what fails for good', () => {
    const inStore = (more: Partial<LoopInStore> = {}): LoopInStore => ({
      ...{ plan: { ...plan, notifyOn: ['parked', 'paused', 'overBudget'] }, cycles: position(7), unfinished: null },
      fuse: { position: position(2), consecutiveFailures: 1, paused: null },
      ...{ finishedCycles: 7, recent: [] },
      ...more,
    });
    const born = () => new LoopMachine('l', initialLoopState(digestOf('spec')));

    it('parks a loop that cannot read what it needs; another spec, or a word, lets it try again', () => {
      const machine = born();
      assert.equal(machine.next(0).kind, 'load');
      machine.block('spec: gate: expected a list', 5);
      const status = loopStatus(machine, 6);
      assert.deepEqual(
        [status.state, status.waitsFor, status.command],
        ['parked', 'a person: spec: gate: expected a list', 'goto3 apply <file>\ngoto3 loop resume l --reason "..."'],
      );
      assert.equal(attentionOf(machine, 6)?.kind, 'parked');
      assert.match(machine.retrain(request('a'), 6).reason, /cannot go on: spec: gate/);
      assert.match(machine.pause(request('p'), 6).reason, /has not started: spec: gate/);
      assert.equal(machine.resume(request('u')).reason, 'it tries again');
      assert.equal(machine.next(7).kind, 'load');
      machine.block('again', 8);
      machine.setSpec('s', digestOf('spec 2'), plan);
      assert.equal(machine.next(9).kind, 'load');
      machine.load(inStore(), digestOf('spec'));
      assert.equal(machine.next(10).kind, 'load', 'that was the spec of before');
      machine.load(inStore(), digestOf('spec 2'));
      assert.equal(machine.next(11).kind, 'wait');
      assert.deepEqual([machine.state.consecutiveFailures, machine.state.finishedCycles], [1, 7]);
      assert.equal(machine.fuseToRecord(), null, 'the store says so already');
    });

    it('keeps what this life knows better than the store: the pause, the day’s starts, the request that waits', () => {
      const machine = born();
      machine.load(inStore(), digestOf('spec'));
      machine.retrain(request('a'), 0);
      const n = start(machine, 0);
      machine.pause(request('p'), 1);
      machine.block('the ref was moved by somebody else', 2);
      assert.equal(machine.fuseToRecord(), null, 'nothing is written while it is parked');
      assert.ok(end(machine, n, 3), 'a report is taken while it is parked');
      machine.setSpec('s', digestOf('spec'), plan);
      machine.load(inStore({ cycles: position(9), finishedCycles: 0, recent: [] }), digestOf('spec'));
      const { state } = machine;
      assert.deepEqual([state.cycles?.entry, state.paused?.by, state.recent.length], [9, 'ann', 1]);
      assert.deepEqual(machine.fuseToRecord()?.paused?.by, 'ann');
    });

    it('lets an opened cycle go on where it was, under its number and its spec', () => {
      const machine = born();
      const unfinished = { n: 7, specDigest: digestOf('the spec of then'), reason: 'new rows', by: 'trigger' };
      machine.load(inStore({ unfinished }), digestOf('spec'));
      assert.deepEqual(machine.next(0), { kind: 'start', cycle: unfinished });
      assert.match(machine.retrain(request('a'), 0).reason, /after cycle 7/);
    });

    it('takes the report of a cycle that was done before its loop heard that it began', () => {
      const machine = born();
      machine.load(inStore(), digestOf('spec'));
      machine.opened({ n: 8, specDigest: digestOf('spec'), reason: 'x', by: 'y' }, position(8));
      end(machine, 8, 5, { failed: true });
      machine.started({ n: 8, workflowId: 'cycle/l/8', runId: 'r', reason: 'x', startedAtMs: 6 }, 6);
      assert.deepEqual([machine.state.running, machine.state.last?.n, machine.state.consecutiveFailures], [null, 8, 2]);
    });

    it('is told once for each time it happens, if the spec asks for it', () => {
      const machine = born();
      machine.load(inStore(), digestOf('spec'));
      assert.equal(noticeOf(machine, 0), null);
      machine.block('no', 5);
      const notice = noticeOf(machine, 6)!;
      assert.deepEqual([notice.key, notice.event], ['loop/l/parked/5', 'parked']);
      machine.state.toldKey = notice.key;
      assert.equal(noticeOf(machine, 7), null);
      machine.block('no', 8);
      assert.equal(noticeOf(machine, 9)?.key, 'loop/l/parked/8');
      machine.state.plan!.notifyOn = ['paused'];
      assert.equal(noticeOf(machine, 9), null);
    });

    it('tells of a budget that is used up while a cycle waits for it', () => {
      const machine = machineWith({ cyclesPerDay: 1, notifyOn: ['overBudget'] });
      machine.retrain(request('a'), 0);
      const n = start(machine, 0);
      machine.retrain(request('b'), 5);
      end(machine, n, 10);
      const notice = noticeOf(machine, 20)!;
      assert.deepEqual([notice.event, notice.key], ['overBudget', 'loop/l/overBudget/5']);
      assert.match(notice.text, /"for b" of l waits until 1970-01-02T00:00:00.000Z: the limit of 1 cycles a day/);
      assert.equal(noticeOf(machine, day + 1), null);
    });
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
          if (next.kind === 'open') {
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
