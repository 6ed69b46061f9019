import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Action, backoffMs, type Desired, type Observed, reconcile } from '../../src/stack/reconcile.ts';

const desired = (name: string, after: string[] = [], specHash = 'v1'): Desired => ({ name, specHash, after });
const observed = (name: string, seen: Partial<Observed> = {}): Observed => ({
  name,
  specHash: 'v1',
  stopWave: 1,
  graceMs: 1_000,
  alive: true,
  supervised: true,
  ready: true,
  stopRequestedAtMs: undefined,
  killed: false,
  deaths: 0,
  lastDeathAtMs: undefined,
  ...seen,
});
const gone = (name: string, seen: Partial<Observed> = {}): Observed =>
  observed(name, { alive: false, supervised: false, ready: false, ...seen });
const run = (wanted: Desired[], seen: Observed[], nowMs = 10_000): Action[] =>
  reconcile({ desired: wanted, observed: seen, mode: 'run', nowMs });
const stop = (seen: Observed[], nowMs = 10_000): Action[] =>
  reconcile({ desired: [], observed: seen, mode: 'stop', nowMs });

describe('reconcile', () => {
  it('starts what is missing, but a dependent only when what it needs is ready', () => {
    const wanted = [desired('server'), desired('worker', ['server'])];
    assert.deepEqual(run(wanted, []), [{ kind: 'start', name: 'server' }]);
    assert.deepEqual(run(wanted, [observed('server', { ready: false })]), []);
    assert.deepEqual(run(wanted, [observed('server')]), [{ kind: 'start', name: 'worker' }]);
  });

  it('leaves a living child alone while what it needs is away', () => {
    const wanted = [desired('server'), desired('worker', ['server'])];
    assert.deepEqual(run(wanted, [gone('server'), observed('worker')]), [{ kind: 'start', name: 'server' }]);
  });

  it('takes over a living child of an earlier up, and only once', () => {
    assert.deepEqual(run([desired('a')], [observed('a', { supervised: false })]), [{ kind: 'adopt', name: 'a' }]);
    assert.deepEqual(run([desired('a')], [observed('a')]), []);
  });

  it('replaces a living child whose code or argv changed: stop, wait, start', () => {
    const wanted = [desired('a', [], 'v2')];
    assert.deepEqual(run(wanted, [observed('a')]), [{ kind: 'stop', name: 'a', why: 'replaced' }]);
    assert.deepEqual(run(wanted, [observed('a', { stopRequestedAtMs: 9_500 })]), []);
    assert.deepEqual(run(wanted, [observed('a', { stopRequestedAtMs: 9_000 })]), [{ kind: 'kill', name: 'a' }]);
    assert.deepEqual(run(wanted, [observed('a', { stopRequestedAtMs: 9_000, killed: true })]), []);
    assert.deepEqual(run(wanted, [gone('a')]), [{ kind: 'start', name: 'a' }]);
  });

  it('stops a child that is no longer wanted and forgets it when it is gone', () => {
    assert.deepEqual(run([], [observed('old')]), [{ kind: 'stop', name: 'old', why: 'unwanted' }]);
    assert.deepEqual(run([], [gone('old')]), [{ kind: 'forget', name: 'old' }]);
  });

  it('restarts after 0.5 s, doubling up to 10 s', () => {
    assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 60].map(backoffMs), [0, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    const dead = gone('a', { deaths: 2, lastDeathAtMs: 9_000 });
    assert.deepEqual(run([desired('a')], [dead], 9_999), []);
    assert.deepEqual(run([desired('a')], [dead], 10_000), [{ kind: 'start', name: 'a' }]);
  });

  it('stops wave by wave, endpoint before workers before server, with grace before SIGKILL', () => {
    const [endpoint, worker, server] = [
      observed('endpoint', { stopWave: 1 }),
      observed('worker', { stopWave: 2 }),
      observed('server', { stopWave: 3 }),
    ];
    const shutdown = (name: string): Action => ({ kind: 'stop', name, why: 'shutdown' });
    assert.deepEqual(stop([server, worker, endpoint]), [shutdown('endpoint')]);
    assert.deepEqual(stop([server, worker, { ...endpoint, stopRequestedAtMs: 9_900 }]), []);
    assert.deepEqual(stop([server, worker, gone('endpoint')]), [
      { kind: 'forget', name: 'endpoint' },
      shutdown('worker'),
    ]);
    assert.deepEqual(stop([server, { ...worker, stopRequestedAtMs: 9_000 }]), [{ kind: 'kill', name: 'worker' }]);
    assert.deepEqual(stop([server]), [shutdown('server')]);
    assert.deepEqual(stop([]), []);
  });

  it('never starts beside a living process, and never touches a child twice in one step', () => {
    const anyObserved = fc.record({
      name: fc.constantFrom('a', 'b', 'c'),
      specHash: fc.constantFrom('v1', 'v2'),
      stopWave: fc.integer({ min: 1, max: 3 }),
      graceMs: fc.constantFrom(0, 1_000),
      alive: fc.boolean(),
      supervised: fc.boolean(),
      ready: fc.boolean(),
      stopRequestedAtMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
      killed: fc.boolean(),
      deaths: fc.integer({ min: 0, max: 9 }),
      lastDeathAtMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
    });
    const anyDesired = fc.record({
      name: fc.constantFrom('a', 'b', 'c', 'd'),
      specHash: fc.constantFrom('v1', 'v2'),
      after: fc.subarray(['a', 'b', 'c', 'd']),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(anyObserved, { selector: (child) => child.name }),
        fc.uniqueArray(anyDesired, { selector: (spec) => spec.name }),
        fc.constantFrom('run' as const, 'stop' as const),
        (seen, wanted, mode) => {
          const actions = reconcile({ desired: wanted, observed: seen, mode, nowMs: 10_000 });
          assert.equal(new Set(actions.map((action) => action.name)).size, actions.length);
          for (const action of actions) {
            const child = seen.find((each) => each.name === action.name);
            if (action.kind === 'start') assert.ok(mode === 'run' && !child?.alive);
            if (action.kind === 'forget') assert.ok(child && !child.alive);
            if (action.kind === 'stop' || action.kind === 'adopt')
              assert.ok(child?.alive && child.stopRequestedAtMs === undefined);
            if (action.kind === 'kill') assert.ok(child?.alive && child.stopRequestedAtMs !== undefined);
          }
        },
      ),
    );
  });
});
