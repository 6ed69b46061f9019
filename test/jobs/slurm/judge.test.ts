import assert from 'node:assert/strict';
import type { Claim, ExitRecord } from '../../../src/jobs/local/job-folder.ts';
import { type Facts, judge, type Patience } from '../../../src/jobs/slurm/judge.ts';
import type { QueueWord } from '../../../src/jobs/slurm/queue-watch.ts';

const patience: Patience = { settleMs: 15_000, returnMs: 60_000, absentMs: 60_000 };
const claim: Claim = {
  host: 'n1',
  bootId: 'b',
  pidNamespace: 'p',
  pid: 1,
  startTicks: 1,
  by: 'wrapper',
  marker: 'm',
  renewWithinMs: 30_000,
  batchJob: { id: '7', restarts: 0 },
  at: '2026-01-01T00:00:00Z',
};
const program = { pid: 2, startTicks: 2, startedAt: '2026-01-01T00:00:01Z' };
const left: ExitRecord = { state: 'failed', failureClass: 'preempted', endedAt: '2026-01-01T00:01:00Z' };
const says = (state: string, forMs = 0, reason = 'None'): QueueWord => ({
  kind: 'job',
  forMs,
  job: { id: '7', name: 'goto3-x', states: [state], reason, nodes: 'n1' },
});
const facts = (more: Partial<Facts>): Facts => ({
  id: '7',
  cancelled: false,
  silentMs: 0,
  word: { kind: 'silent', why: 'not asked' },
  ...more,
});
const stateOf = (more: Partial<Facts>): string => {
  const judgement = judge(facts(more), patience);
  return judgement.kind === 'status'
    ? judgement.status.state
    : `over: ${judgement.exit.failureClass ?? judgement.exit.state}`;
};
const silent = { claim, program, silentMs: 61_000 };

describe('slurm: how far a job has come', () => {
  it('a wrapper that renews is believed, whatever Slurm says', () => {
    for (const state of ['FAILED', 'NODE_FAIL', 'PENDING', 'NEWSPEAK'])
      assert.equal(stateOf({ claim, program, silentMs: 29_000, word: says(state, 1e9) }), 'running', state);
    assert.equal(stateOf({ claim, program, silentMs: 1, word: { kind: 'absent', forMs: 1e9 } }), 'running');
    assert.equal(stateOf({ claim }), 'pending');
  });

  it('not in the queue is not failed, until it is so for long', () => {
    assert.equal(stateOf({ word: { kind: 'absent', forMs: 59_000 } }), 'pending');
    assert.equal(stateOf({ ...silent, word: { kind: 'absent', forMs: 59_000 } }), 'unknown');
    assert.equal(stateOf({ ...silent, word: { kind: 'absent', forMs: 61_000 } }), 'over: infrastructure');
  });

  it('a cluster that does not answer ends nothing', () => {
    assert.equal(stateOf({}), 'pending');
    assert.equal(stateOf(silent), 'unknown');
  });

  it('NODE_FAIL and PREEMPTED may come back; a requeue waits', () => {
    assert.equal(stateOf({ ...silent, word: says('NODE_FAIL', 59_000) }), 'pending');
    assert.equal(stateOf({ ...silent, word: says('NODE_FAIL', 61_000) }), 'over: infrastructure');
    assert.equal(stateOf({ ...silent, word: says('PREEMPTED', 59_000) }), 'pending');
    assert.equal(stateOf({ ...silent, word: says('PREEMPTED', 61_000) }), 'over: preempted');
    assert.equal(stateOf({ ...silent, left, word: says('REQUEUED', 1e9) }), 'pending');
  });

  it('ended without a record: after the folder has had time to show one', () => {
    assert.equal(stateOf({ ...silent, word: says('FAILED', 14_000) }), 'running');
    assert.equal(stateOf({ ...silent, word: says('FAILED', 15_000) }), 'over: infrastructure');
    assert.equal(stateOf({ word: says('OUT_OF_MEMORY', 15_000) }), 'over: outOfMemory');
    assert.equal(stateOf({ word: says('TIMEOUT', 15_000) }), 'over: timeLimit');
    assert.equal(stateOf({ word: says('CANCELLED', 15_000) }), 'over: cancelled');
  });

  it('a wrapper that said it left: at once, with what it knew', () => {
    assert.equal(stateOf({ ...silent, silentMs: 0, left, word: says('FAILED') }), 'over: preempted');
    assert.equal(stateOf({ ...silent, silentMs: 0, left, word: says('CANCELLED') }), 'over: cancelled');
    assert.equal(stateOf({ ...silent, silentMs: 0, left, word: says('RUNNING') }), 'pending');
  });

  it('a cancel that was asked for is the end’s name', () => {
    assert.equal(stateOf({ ...silent, cancelled: true, word: says('FAILED', 15_000) }), 'over: cancelled');
  });

  it('Slurm says RUNNING, the wrapper says nothing: unknown', () => {
    assert.equal(stateOf({ claim, program, silentMs: 59_000, word: says('RUNNING') }), 'running');
    assert.equal(stateOf({ ...silent, word: says('RUNNING') }), 'unknown');
  });

  it('a reason that nobody but a person can change', () => {
    assert.equal(stateOf({ word: says('PENDING', 1e9, 'Resources') }), 'pending');
    assert.equal(stateOf({ word: says('PENDING', 59_000, 'PartitionTimeLimit') }), 'pending');
    assert.equal(stateOf({ word: says('PENDING', 60_000, 'PartitionTimeLimit') }), 'over: userError');
  });
});
