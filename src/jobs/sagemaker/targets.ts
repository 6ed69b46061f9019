import type { JobRef, JobRunner } from '../../contracts/job.ts';
import { sageMakerTargetPrefix } from '../../contracts/sagemaker-target.ts';
import { InvalidJob } from '../errors.ts';

/**
 * One runner for all SageMaker targets: a spec names its target (`sagemaker:prod`), a reference carries it
 * (`prod/<training job>`). A target is opened when its first job comes, so that a mistake in one keeps no other from working.
 */
export function createSageMakerTargets(runners: ReadonlyMap<string, () => Promise<JobRunner>>): JobRunner {
  const opened = new Map<string, Promise<JobRunner>>();
  const runnerOf = async (target: string): Promise<JobRunner> => {
    const open = runners.get(target);
    if (!open) {
      const known = [...runners.keys()].map((name) => `${sageMakerTargetPrefix}${name}`).join(', ') || 'none';
      throw new InvalidJob(`target ${sageMakerTargetPrefix}${target}: this worker knows ${known}`);
    }
    const runner = opened.get(target) ?? open();
    opened.set(target, runner);
    return await runner.catch((error: unknown) => {
      opened.delete(target);
      throw error;
    });
  };
  const placed = async (name: string, runsOn: string | undefined): Promise<JobRunner> => {
    if (runsOn === undefined) throw new InvalidJob(`job ${name}, runsOn: expected sagemaker:<target>`);
    return await runnerOf(runsOn.slice(sageMakerTargetPrefix.length));
  };
  const ofRef = async ({ externalId }: JobRef): Promise<JobRunner> => await runnerOf(externalId.split('/')[0]!);
  return {
    kind: 'sagemaker',
    submit: async (spec) => await (await placed(spec.name, spec.runsOn)).submit(spec),
    withdraw: async (name, runsOn) => await (await placed(name, runsOn)).withdraw?.(name),
    describe: async (ref) => await (await ofRef(ref)).describe(ref),
    cancel: async (ref) => await (await ofRef(ref)).cancel(ref),
    logs: async (ref, cursor) => await (await ofRef(ref)).logs(ref, cursor),
    outputs: async (ref) => await (await ofRef(ref)).outputs(ref),
  };
}
