import { type Client, type ScheduleHandle, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import type { LoopSpec } from '../contracts/loop-spec.ts';
import { taskQueues, workflowIds } from '../contracts/names.ts';
import type { kick } from '../workflows/index.ts';
import { NotFoundError } from './errors.ts';

/** `apply` owns the Schedule. Overlap SKIP, and what was missed for more than an hour stays missed (DESIGN §2). */
export async function keepSchedule(temporal: Client, { loop, triggers }: LoopSpec): Promise<void> {
  if (!triggers.schedule) {
    await deleteSchedule(temporal, loop);
    return;
  }
  const scheduleId = workflowIds.kick(loop);
  const { cron, timezone } = triggers.schedule;
  const schedule = {
    spec: { cronExpressions: [cron], timezone },
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'kick' as const,
      workflowId: `${scheduleId}/scheduled`,
      taskQueue: taskQueues.control,
      args: [{ loop, reason: `schedule ${cron} ${timezone}` }] as Parameters<typeof kick>,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' as const },
  };
  const known = await ifThere(() =>
    temporal.schedule.getHandle(scheduleId).update((previous) => ({ ...schedule, state: previous.state })),
  );
  if (!known) await temporal.schedule.create({ scheduleId, ...schedule });
}

/** False when the loop had none. */
export async function deleteSchedule(temporal: Client, loop: string): Promise<boolean> {
  return await ifThere(() => temporal.schedule.getHandle(workflowIds.kick(loop)).delete());
}

/** Does something with a loop's schedule. @throws NotFoundError */
export async function withSchedule(
  temporal: Client,
  loop: string,
  act: (schedule: ScheduleHandle) => Promise<unknown>,
): Promise<void> {
  if (!(await ifThere(() => act(temporal.schedule.getHandle(workflowIds.kick(loop))))))
    throw new NotFoundError(`the loop ${loop} has no schedule: add triggers.schedule to its file and goto3 apply it`);
}

async function ifThere(act: () => Promise<unknown>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return false;
    throw error;
  }
}
