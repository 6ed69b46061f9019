import type { CyclePlan } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { AppliedLoop, type LoopSpec, LoopSpecSchema } from '../contracts/loop-spec.ts';
import type { LoopPlan, RolloutPlan } from '../contracts/messages.ts';
import type { GateSpec } from '../contracts/verdict.ts';
import { InvalidInput } from '../store/errors.ts';
import { getJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

export interface Spec {
  spec: LoopSpec;
  /** Absolute folder that the file's relative paths start from. */
  folder: string;
  appliedBy: string;
}

/** The spec that `apply` stored. What an older version of this code accepted may no longer be: then it says which field. */
export async function readSpec(store: Store, digest: Digest): Promise<Spec> {
  const { file, folder, appliedBy } = await getJson(store, AppliedLoop, digest);
  const parsed = LoopSpecSchema.safeParse(file);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidInput(`spec ${digest}: ${issue?.path.join('.')}: ${issue?.message}; apply the file again`);
  }
  return { spec: parsed.data, folder, appliedBy };
}

/** What the loop's workflow needs. */
export const loopPlanOf = (spec: LoopSpec): LoopPlan => ({
  model: spec.model,
  endpoint: spec.rollout === 'none' ? null : spec.rollout.endpoint,
  pollMs: spec.data.poll === 'push' ? null : spec.data.poll,
  newRows: spec.triggers.newRows ?? null,
  liveAccuracyBelow: spec.triggers.liveAccuracyBelow ?? null,
  ...((spec.triggers.drift || spec.triggers.bias) && { monitors: true as const }),
  minIntervalMs: spec.limits.minInterval,
  cyclesPerDay: spec.limits.cyclesPerDay,
  gpuHoursPerDay: spec.limits.gpuHoursPerDay,
  pauseAfterFailures: spec.limits.pauseAfterFailures,
  cycles: spec.limits.cycles ?? null,
  notifyOn: spec.notify?.on ?? [],
});

/** Escalation of a local job ends at this multiple of what the spec asks for. */
const escalation = 4;

/** What a job gets, and where its escalation ends. */
export function jobResourcesOf({
  resources: { gpus, cpus, memory, time },
}: Pick<LoopSpec['train'], 'resources'>): Pick<CyclePlan, 'resources' | 'maxResources'> {
  const resources = { gpus, cpus, memoryBytes: memory, timeLimitMs: time };
  return {
    resources,
    maxResources: { ...resources, memoryBytes: memory * escalation, timeLimitMs: time * escalation },
  };
}

export const rolloutPlanOf = ({ rollout }: LoopSpec): RolloutPlan | null =>
  rollout === 'none'
    ? null
    : {
        canary: rollout.canary,
        atLeastRequests: rollout.each.atLeast,
        atMostMs: rollout.each.atMost,
        onTimeout: rollout.each.onTimeout,
        errorRateMargin: rollout.rollbackOn.errorRate,
        latencyP99Relative: rollout.rollbackOn.latencyP99,
        probation: rollout.probation
          ? { forMs: rollout.probation.for, accuracyLoss: -rollout.probation.rollbackOn.accuracy }
          : null,
      };

/** The gate as the verdict reads it; its digest is in every verdict. */
export const gateOf = ({ gate }: LoopSpec): GateSpec => JSON.parse(JSON.stringify(gate)) as GateSpec;
