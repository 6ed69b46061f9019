import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { attention } from '../../../src/client/cli/status/collect.ts';
import { queueStatus } from '../../../src/client/cli/status/queues.ts';
import { within } from '../../../src/client/cli/status/within.ts';
import type { CycleStatus, EndpointStatus, LoopStatus } from '../../../src/contracts/messages.ts';
import { desired } from '../filled-store.ts';

describe('status: workers of a queue', () => {
  const now = Date.parse('2026-07-01T10:05:00Z');
  const alive = () => true;

  it('says since when nobody works, and what waits', () => {
    const gone = { identity: '7@elsewhere', lastPollMs: now - 180_000 };
    const status = queueStatus('gpu', [gone], 2, now, alive);
    assert.equal(status.workers, 0);
    assert.equal(status.problem, 'no gpu worker since 2026-07-01T10:02:00Z, 2 tasks wait');
  });

  it('knows a queue that never had a worker', () => {
    assert.equal(queueStatus('hpc', [], 0, now, alive).problem, 'no hpc worker');
  });

  it('counts a process once, however many pollers it has', () => {
    const poller = { identity: '7@a', lastPollMs: now - 60_000 };
    const status = queueStatus(
      'cpu',
      [poller, { ...poller, lastPollMs: now }, { ...poller, identity: '8@a' }],
      1,
      now,
      alive,
    );
    assert.deepEqual([status.workers, status.problem, status.lastPollAt], [2, null, new Date(now).toISOString()]);
  });

  it('sees at once that a worker of this machine has died, which the server learns minutes later', () => {
    // No process has this id: Linux allows 2^22 at most.
    const dead = { identity: `${2 ** 22 + 1}@${hostname()}`, lastPollMs: now };
    assert.equal(queueStatus('gpu', [dead], 0, now).workers, 0);
    assert.equal(queueStatus('gpu', [{ ...dead, identity: `${process.pid}@${hostname()}` }], 0, now).workers, 1);
  });
});

describe('status: what needs a person', () => {
  const open = { startedAt: '', stage: null };
  const cycle = { waitsFor: 'one of ann, bob', command: 'goto3 cycle approve spam/3 --reason "..."' } as CycleStatus;

  it('has the command that unblocks it, from whatever answers', () => {
    const digest = `sha256:${'a'.repeat(64)}` as const;
    const frozen = { ...desired(4, digest), frozen: { by: 'canary', reason: 'errors', at: '2026-07-01T10:00:00Z' } };
    const served = { by: '', reason: '', time: '', replicas: [] };
    const found = attention(
      [
        {
          ...open,
          ...{ workflowId: 'loop/spam', type: 'retrainingLoop', attention: 'paused' },
          status: {
            waitsFor: 'resume (paused by fuse: x)',
            command: 'goto3 loop resume spam --reason "..."',
          } as LoopStatus,
        },
      ],
      [
        { ...open, ...{ workflowId: 'cycle/spam/3', type: 'retrainCycle', attention: 'approval', status: cycle } },
        { ...open, ...{ workflowId: 'cycle/spam/4', type: 'retrainCycle', attention: 'parked', status: null } },
        { ...open, ...{ workflowId: 'cycle/spam/5', type: 'retrainCycle', attention: null, status: cycle } },
      ],
      [
        { name: 'mail', desired: frozen, ...served },
        { name: 'calm', desired: desired(1, digest), ...served },
      ],
      [
        {
          ...{ ...open, workflowId: 'endpoint/full', type: 'endpoint', attention: 'parked' },
          status: {
            blocked: { reason: 'the store is full', sinceMs: 1 },
            command: 'goto3 endpoint unfreeze full --reason "..."',
          } as EndpointStatus,
        },
      ],
    );
    assert.deepEqual(
      found.map(({ what, kind, command }) => [what, kind, command]),
      [
        ['cycle/spam/3', 'approval', 'goto3 cycle approve spam/3 --reason "..."'],
        ['cycle/spam/4', 'parked', null],
        ['loop/spam', 'paused', 'goto3 loop resume spam --reason "..."'],
        ['endpoint/full', 'parked', 'goto3 endpoint unfreeze full --reason "..."'],
        ['endpoint/mail', 'frozen', 'goto3 endpoint unfreeze mail --reason "..."'],
      ],
    );
  });
});

describe('status: a part that is missing', () => {
  it('is named when it takes too long or fails, and the others go on', async () => {
    const never = new Promise<never>(() => undefined);
    assert.deepEqual(await within(20, 'store', never), { problem: 'store: no answer within 0.02 s' });
    assert.deepEqual(await within(1_000, 'store', Promise.reject(new Error('disk'))), { problem: 'store: disk' });
    assert.deepEqual(await within(1_000, 'store', Promise.resolve(7)), { value: 7 });
  });
});
