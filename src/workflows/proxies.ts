import { ActivityCancellationType, proxyActivities } from '@temporalio/workflow';
import type {
  CycleActivities,
  DataActivities,
  EndpointActivities,
  EvaluateActivities,
  GateActivities,
  JobActivities,
  LoopActivities,
  NotifyActivities,
  QuantizeActivities,
  RegistryActivities,
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
  // A worker that died is noticed by the beat that is missing: a rollback must not wait for the minute.
  heartbeatTimeout: '10s',
  retry: patiently,
});

/** A webhook may be away for a while; nothing waits for it that long, and a day later nobody wants to hear it. */
export const notifying = proxyActivities<NotifyActivities>({
  taskQueue: taskQueues.control,
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '1d',
  cancellationType: ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '250ms', backoffCoefficient: 2, maximumInterval: '5m' },
});

/** A registry elsewhere may be away, or refuse until somebody changes a policy: for days, and nothing waits for it. */
const untilItWorks = {
  taskQueue: taskQueues.control,
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '5m' },
} as const;
export const mirroring = proxyActivities<Omit<RegistryActivities, 'awaitRegistryApproval'>>(untilItWorks);
export const watchingApproval = proxyActivities<Pick<RegistryActivities, 'awaitRegistryApproval'>>({
  ...untilItWorks,
  cancellationType: ActivityCancellationType.TRY_CANCEL,
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

/** Any worker of the runner's queue decides where a job goes. */
export const placing = (taskQueue: string) =>
  proxyActivities<Pick<JobActivities, 'placeJob'>>({
    taskQueue,
    startToCloseTimeout: '1m',
    heartbeatTimeout: '30s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: patiently,
  });

/** A host that stays away this long is lost; its job's wrapper has ended the program by then. */
const hostIsLostAfter = '1h';

/** Starts the job where it was placed. Whoever cancels a submit withdraws it, so that one that is late starts nothing. */
export const submitting = (taskQueue: string) =>
  proxyActivities<Pick<JobActivities, 'submitJob'>>({
    taskQueue,
    startToCloseTimeout: '5m',
    scheduleToStartTimeout: hostIsLostAfter,
    heartbeatTimeout: '30s',
    cancellationType: ActivityCancellationType.TRY_CANCEL,
    retry: patiently,
  });

/** Where a submit cannot be carried out, its withdrawal may not be either; a person who cancels must not wait for ever. */
export const withdrawing = (taskQueue: string) =>
  proxyActivities<Pick<JobActivities, 'withdrawJob'>>({
    taskQueue,
    startToCloseTimeout: '30m',
    scheduleToCloseTimeout: '1h',
    heartbeatTimeout: '30s',
    retry: patiently,
  });

export const attending = (taskQueue: string) =>
  proxyActivities<Omit<JobActivities, 'placeJob' | 'submitJob' | 'withdrawJob'>>({
    taskQueue,
    startToCloseTimeout: '30d',
    scheduleToStartTimeout: hostIsLostAfter,
    heartbeatTimeout: '15s',
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: patiently,
  });
