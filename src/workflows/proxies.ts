import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type {
  CycleActivities,
  DataActivities,
  EndpointActivities,
  EvaluateActivities,
  GateActivities,
  JobActivities,
  LoopActivities,
  QuantizeActivities,
  TrainActivities,
} from '../contracts/activities.ts';
import { taskQueues } from '../contracts/names.ts';

/**
 * Groups by behaviour: what is quick and idempotent is tried for ever (a store that is away comes back), what is heavy
 * beats, what observes may take long. Permanent errors are non-retryable where they are thrown.
 */
const patiently = { initialInterval: '250ms', backoffCoefficient: 2, maximumInterval: '30s' } as const;

/** Refs, notes, questions to other workflows: never behind an evaluation. */
export const control = proxyActivities<
  LoopActivities & CycleActivities & Omit<EndpointActivities, 'observeCanary' | 'observeProbation' | 'watchDesired'>
>({
  taskQueue: taskQueues.control,
  startToCloseTimeout: '1m',
  retry: patiently,
});

/** Watches an endpoint; cancelled when something more urgent comes. */
export const observe = proxyActivities<Pick<EndpointActivities, 'observeCanary' | 'observeProbation' | 'watchDesired'>>(
  {
    taskQueue: taskQueues.control,
    startToCloseTimeout: '7d',
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: patiently,
  },
);

/** Data, evaluation, quantization, gate. */
export const heavy = proxyActivities<
  Omit<DataActivities, 'probeData'> & TrainActivities & EvaluateActivities & QuantizeActivities & GateActivities
>({
  taskQueue: taskQueues.cpu,
  startToCloseTimeout: '6h',
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  retry: { ...patiently, maximumAttempts: 8 },
});

/** Waits for data by failing benignly: neither history nor a slot is spent. */
export const probe = proxyActivities<Pick<DataActivities, 'probeData'>>({
  taskQueue: taskQueues.cpu,
  startToCloseTimeout: '1h',
  heartbeatTimeout: '30s',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '5m' },
});

/** Jobs: `submit` on the runner's queue, the rest where the job is. */
export const submitting = (taskQueue: string) =>
  proxyActivities<Pick<JobActivities, 'submitJob'>>({
    taskQueue,
    startToCloseTimeout: '5m',
    heartbeatTimeout: '30s',
    retry: patiently,
  });

export const attending = (taskQueue: string) =>
  proxyActivities<Omit<JobActivities, 'submitJob'>>({
    taskQueue,
    startToCloseTimeout: '30d',
    // A host that stays away this long is lost; its job's wrapper has ended the program by then.
    scheduleToStartTimeout: '1h',
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: patiently,
  });
