import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { JobResources } from '../contracts/job.ts';
import type {
  Answer,
  CycleEnded,
  CycleFinished,
  CycleStatus,
  DeployFinished,
  DeployRequest,
  DropData,
  EndpointStatus,
  JobWorkflowStatus,
  LoopStatus,
  NewData,
  RegistryDecision,
  Request,
  RetryCycle,
  RolloutPlan,
  SetSpec,
  ShadowRequest,
  WithdrawRequest,
} from '../contracts/messages.ts';
import { type Decoder, flag, list, nullable, number, object, oneOf, optional, text } from './decode.ts';

/**
 * Every message, by its name on the wire, with the decoder that its handler uses. Updates where a caller must learn
 * whether it was accepted; signals where nobody waits.
 */

// loop
export const retrainUpdate = defineUpdate<Answer, [Request]>('retrain');
export const setSpecUpdate = defineUpdate<Answer, [SetSpec]>('setSpec');
export const pauseUpdate = defineUpdate<Answer, [Request]>('pause');
export const resumeUpdate = defineUpdate<Answer, [Request]>('resume');
export const newDataSignal = defineSignal<[NewData]>('newData');
export const cycleFinishedSignal = defineSignal<[CycleFinished]>('cycleFinished');
export const loopStatusQuery = defineQuery<LoopStatus>('status');

// cycle
export const approveUpdate = defineUpdate<Answer, [Request]>('approve');
export const rejectUpdate = defineUpdate<Answer, [Request]>('reject');
export const retryUpdate = defineUpdate<Answer, [RetryCycle]>('retry');
export const acceptDataUpdate = defineUpdate<Answer, [Request]>('acceptData');
export const dropDataUpdate = defineUpdate<Answer, [DropData]>('dropData');
export const deployFinishedSignal = defineSignal<[DeployFinished]>('deployFinished');
export const cycleStatusQuery = defineQuery<CycleStatus>('report');

// endpoint
export const deployUpdate = defineUpdate<Answer, [DeployRequest]>('deploy');
export const withdrawUpdate = defineUpdate<Answer, [WithdrawRequest]>('withdraw');
export const rollbackUpdate = defineUpdate<Answer, [Request]>('rollback');
export const freezeUpdate = defineUpdate<Answer, [Request]>('freeze');
export const unfreezeUpdate = defineUpdate<Answer, [Request]>('unfreeze');
export const shadowUpdate = defineUpdate<Answer, [ShadowRequest]>('shadow');
export const endpointStatusQuery = defineQuery<EndpointStatus>('status');

// mirror of a registry
export const registryDecidedSignal = defineSignal<[RegistryDecision]>('decided');
export const cycleEndedSignal = defineSignal<[CycleEnded]>('cycleEnded');

// job
export const jobStatusQuery = defineQuery<JobWorkflowStatus>('status');

const name = text(63, /^[a-z0-9][a-z0-9._-]*$/);
const digest = text(71, /^sha256:[0-9a-f]{64}$/) as Decoder<`sha256:${string}`>;
const requestFields = { requestId: text(256), reason: text(2_000), by: text(256) };

export const decodeRequest = object<Request>(requestFields);
export const decodeSetSpec = object<SetSpec>({ ...requestFields, specDigest: digest });
export const decodeNewData = object<NewData>({ rows: optional(number({ min: 0, integer: true })) });
export const decodeCycleFinished = object<CycleFinished>({
  n: number({ min: 1, integer: true }),
  outcome: text(64),
  detail: text(4_000),
  failed: flag,
  inconclusive: flag,
  gpuHours: number({ min: 0 }),
});
export const decodeRetryCycle = object<RetryCycle>({
  ...requestFields,
  resources: optional(
    object<Partial<JobResources>>({
      gpus: optional(number({ min: 0, max: 1024, integer: true })),
      cpus: optional(number({ min: 1, max: 4096, integer: true })),
      memoryBytes: optional(number({ min: 1, integer: true })),
      timeLimitMs: optional(number({ min: 1, integer: true })),
    }),
  ),
});
export const decodeDropData = object<DropData>({ ...requestFields, slice: optional(text(256)) });
export const decodeDeployFinished = object<DeployFinished>({
  requestId: text(256),
  outcome: oneOf('deployed', 'rolledBack', 'refused', 'withdrawn', 'superseded'),
  reason: text(4_000),
  deployment: nullable(digest),
});
export const decodeRegistryDecision = object<RegistryDecision>({
  approved: flag,
  by: text(256),
  reason: text(4_000),
  version: nullable(number({ min: 1, integer: true })),
});
export const decodeCycleEnded = object<CycleEnded>({ outcome: text(64), endpoint: nullable(name) });
const decodeRolloutPlan = object<RolloutPlan>({
  canary: list(number({ min: 0, max: 100 }), { max: 20 }),
  atLeastRequests: number({ min: 1, integer: true }),
  atMostMs: number({ min: 1 }),
  onTimeout: oneOf('rollback', 'continue'),
  errorRateMargin: number({ min: 0, max: 1 }),
  latencyP99Relative: number({ min: 0 }),
  probation: nullable(object({ forMs: number({ min: 1 }), accuracyLoss: number({ min: 0, max: 1 }) })),
});
export const decodeDeploy = object<DeployRequest>({
  ...requestFields,
  model: digest,
  modelName: name,
  loop: name,
  version: number({ min: 1, integer: true }),
  approvedByPerson: flag,
  plan: decodeRolloutPlan,
  replyTo: nullable(text(256)),
});
export const decodeWithdraw = object<WithdrawRequest>({ ...requestFields, deploy: text(256) });
export const decodeShadow = object<ShadowRequest>({ ...requestFields, name, model: nullable(digest) });
