import { hostname } from 'node:os';
import type { Client } from '@temporalio/client';
import proto from '@temporalio/proto';
import { taskQueues } from '../../../contracts/names.ts';

export interface QueueStatus {
  queue: string;
  /** Worker processes that poll it. */
  workers: number;
  /** ISO: the newest poll of a worker that is alive, or else the last one of any; null when the server saw none. */
  lastPollAt: string | null;
  /** Tasks that no worker has taken. */
  waiting: number;
  /** Why that needs somebody: `no gpu worker since …, 2 tasks wait`; null when all is well. */
  problem: string | null;
}

/** A poll lasts a minute at most, so a worker that was not seen for longer than this has gone. */
const goneAfterMs = 75_000;
const { TaskQueueType } = proto.temporal.api.enums.v1;

/** Who works on each queue, by the server's own books. */
export async function queueStatuses(temporal: Client): Promise<QueueStatus[]> {
  return await Promise.all(
    Object.values(taskQueues).map(async (queue) => {
      // Only `control` runs workflows; a workflow task without a worker waits there like an activity.
      const types = queue === taskQueues.control ? [TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW] : [];
      const seen = await Promise.all(
        [TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY, ...types].map((type) => describe(temporal, queue, type)),
      );
      return queueStatus(
        queue,
        seen.flatMap(({ pollers }) => pollers),
        sum(seen.map(({ waiting }) => waiting)),
      );
    }),
  );
}

export interface Poller {
  /** `<pid>@<host>`, as the SDK names a worker. */
  identity: string;
  lastPollMs: number;
}

/** Pure but for the look at this machine's processes, which `isAlive` does. */
export function queueStatus(
  queue: string,
  pollers: readonly Poller[],
  waiting: number,
  nowMs = Date.now(),
  isAlive: (identity: string) => boolean = processIsThere,
): QueueStatus {
  const alive = pollers.filter((p) => nowMs - p.lastPollMs < goneAfterMs && isAlive(p.identity));
  const last = Math.max(...(alive.length > 0 ? alive : pollers).map((p) => p.lastPollMs));
  const lastPollAt = Number.isFinite(last) ? new Date(last).toISOString() : null;
  const wait = waiting === 0 ? '' : waiting === 1 ? ', 1 task waits' : `, ${waiting} tasks wait`;
  const since = lastPollAt === null ? '' : ` since ${lastPollAt.slice(0, 19)}Z`;
  return {
    queue,
    workers: new Set(alive.map((p) => p.identity)).size,
    lastPollAt,
    waiting,
    problem: alive.length > 0 ? null : `no ${queue} worker${since}${wait}`,
  };
}

async function describe(
  temporal: Client,
  queue: string,
  taskQueueType: number,
): Promise<{ pollers: Poller[]; waiting: number }> {
  const answer = await temporal.workflowService.describeTaskQueue({
    namespace: temporal.options.namespace,
    taskQueue: { name: queue },
    taskQueueType,
    reportStats: true,
  });
  return {
    pollers: answer.pollers.map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      lastPollMs: Number(lastAccessTime?.seconds ?? 0) * 1_000,
    })),
    waiting: Number(answer.stats?.approximateBacklogCount ?? 0),
  };
}

/** The server keeps a dead worker on its list for minutes; one of this machine can be looked at. */
function processIsThere(identity: string): boolean {
  const [, pid, host] = /^(\d+)@(.+)$/.exec(identity) ?? [];
  if (pid === undefined || host !== hostname()) return true;
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    // EPERM: it is there and somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
