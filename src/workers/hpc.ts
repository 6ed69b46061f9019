import type { JobRef, JobRunner } from '../contracts/job.ts';
import { sageMakerTargetPrefix } from '../contracts/sagemaker-target.ts';

/** The runner of the queue whose jobs live elsewhere: a spec names its target, a reference its runner. */
export function remoteRunner(slurm: JobRunner, sagemaker: JobRunner): JobRunner {
  const of = (runsOn: string | undefined): JobRunner => (runsOn?.startsWith(sageMakerTargetPrefix) ? sagemaker : slurm);
  const ofRef = ({ runner }: JobRef): JobRunner => (runner === 'sagemaker' ? sagemaker : slurm);
  return {
    kind: 'slurm',
    submit: async (spec) => await of(spec.runsOn).submit(spec),
    withdraw: async (name, runsOn) => await of(runsOn).withdraw?.(name, runsOn),
    describe: async (ref) => await ofRef(ref).describe(ref),
    cancel: async (ref) => await ofRef(ref).cancel(ref),
    logs: async (ref, cursor, task) => await ofRef(ref).logs(ref, cursor, task),
    tasks: async (ref) => (await ofRef(ref).tasks?.(ref)) ?? [],
    outputs: async (ref) => await ofRef(ref).outputs(ref),
  };
}
