import type { WorkerOptions } from '@temporalio/worker';
import type { TaskQueue } from '../contracts/names.ts';

/** Running activities get this long to save and leave; the SDK's default is 0. */
const shutdownGraceMs = 8_000;
/** Cancellation reaches an activity with its heartbeat, so beats are not held back for long. */
const heartbeatThrottleMs = 2_000;

/** Slots by what the queue's activities do: `control` and `hpc` wait, `cpu` computes, `gpu` waits for leased devices. */
const slots: Readonly<Record<TaskQueue, number>> = { control: 200, cpu: 2, gpu: 100, hpc: 500 };

/** How a worker of a queue behaves, whatever it runs: the benchmarks measure workers that are set up like this. */
export const workerTuning = (queue: TaskQueue) =>
  ({
    maxConcurrentActivityTaskExecutions: slots[queue],
    shutdownGraceTime: shutdownGraceMs,
    shutdownForceTime: shutdownGraceMs * 2,
    // How long a workflow waits for a worker that was killed before another takes it; people's commands wait 10 s.
    stickyQueueScheduleToStartTimeout: '3s',
    maxHeartbeatThrottleInterval: heartbeatThrottleMs,
  }) satisfies Partial<WorkerOptions>;
