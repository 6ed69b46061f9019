import { defineQuery, defineUpdate, proxyActivities } from '@temporalio/workflow';
import type { Answer } from '../contracts/messages.ts';
import { taskQueues } from '../contracts/names.ts';
import type { ResumeWorkload, WaveStatus, WorkloadActivities, WorkloadStatus } from '../contracts/workload-messages.ts';
import { type Decoder, object, optional, text } from './decode.ts';

/** Messages of a workload by their names on the wire, and the activities that know its documents. */
export const resumeWorkloadUpdate = defineUpdate<Answer, [ResumeWorkload]>('resume');
export const workloadStatusQuery = defineQuery<WorkloadStatus>('status');
export const waveStatusQuery = defineQuery<WaveStatus>('status');

export const decodeResumeWorkload = object<ResumeWorkload>({
  requestId: text(256),
  reason: text(2_000),
  by: text(256),
  specDigest: optional(text(71, /^sha256:[0-9a-f]{64}$/) as Decoder<`sha256:${string}`>),
});

/** Documents of up to 10,000 jobs are read and written in one. */
export const workloads = proxyActivities<WorkloadActivities>({
  taskQueue: taskQueues.control,
  startToCloseTimeout: '10m',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '250ms', backoffCoefficient: 2, maximumInterval: '30s' },
});
