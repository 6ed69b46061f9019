import assert from 'node:assert/strict';
import { refNames, workflowIds } from '../../src/contracts/names.ts';
import { StackProcess } from '../processes.ts';
import { eventually } from '../temporal.ts';
import { ArmedFault } from './harness/armed-fault.ts';
import { LoopUnderFault } from './harness/loop.ts';
import { sharedStack } from './harness/shared-stack.ts';
import { Story } from './harness/story.ts';

describe('SIGSTOP, longer than the heartbeat time-out, then SIGCONT', function () {
  this.timeout(180_000);

  it('refuses the late worker: the effect is there once, and the other worker has its credit', async () => {
    const stack = await sharedStack();
    const story = new Story(stack, 'a worker is stopped before its effect and goes on after its time-out');
    const path = `/refs/${refNames.dataset('paused')}/@log/`;
    const point = { process: 'worker-cpu', call: 'link', when: 'before', path, signal: 'SIGSTOP' } as const;
    const fault = ArmedFault.arm(stack.home, 'paused', point);
    const loop = await LoopUnderFault.write(stack, 'paused');
    await loop.apply();
    const { pid, atMs } = await fault.hasFired();
    story.hasFired(`process ${pid} stopped itself at ${path}`, atMs);
    // Somebody else must do its work, or it would simply get it again.
    const other = new StackProcess('main.ts', ['--queue', 'cpu'], {
      GOTO3_HOME: stack.home,
      TEMPORAL_ADDRESS: stack.goto3.address,
    });
    try {
      const { store, temporal } = stack.goto3;
      const moved = await eventually(
        'the other worker moves the ref',
        () => store.refs.read(refNames.dataset('paused')),
        90_000,
      );
      story.goesOn(Date.parse(moved.time));
      process.kill(pid, 'SIGCONT');
      const report = await loop.report(1);
      assert.equal(report.outcome, 'approved', report.detail);
      assert.equal((await store.refs.read(refNames.dataset('paused')))?.entry, 1);
      const { events } = await temporal.workflow.getHandle(workflowIds.cycle('paused', 1)).fetchHistory();
      const scheduled = (events ?? []).find(
        ({ activityTaskScheduledEventAttributes: a }) => a?.activityType?.name === 'acceptData',
      );
      const started = (events ?? []).find(
        ({ activityTaskStartedEventAttributes: a }) => String(a?.scheduledEventId) === String(scheduled?.eventId),
      )?.activityTaskStartedEventAttributes;
      assert.ok((started?.attempt ?? 0) >= 2, `attempt ${started?.attempt}`);
      assert.match(
        started?.identity ?? '',
        new RegExp(`^${other.child.pid}@`),
        'the attempt in history is the other one',
      );
      await eventually('the late one is done, and healthy', async () => {
        const { state } = await stack.goto3.loop('paused').status();
        return state === 'idle';
      });
    } finally {
      await other.end('SIGTERM');
    }
    await story.end({ note: 'the heartbeat time-out of heavy work is 30 s' });
  });
});
