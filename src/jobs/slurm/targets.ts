import type { JobRef, JobRunner } from '../../contracts/job.ts';
import { slurmTargetPrefix } from '../../contracts/slurm-target.ts';
import { InvalidJob } from '../errors.ts';

/** One runner for all clusters: a spec names its target (`slurm:lab`), a reference carries it (`lab/123`). */
export function createSlurmTargets(runners: ReadonlyMap<string, JobRunner>): JobRunner {
  const runnerOf = (target: string): JobRunner => {
    const runner = runners.get(target);
    if (runner) return runner;
    const known = [...runners.keys()].map((name) => `${slurmTargetPrefix}${name}`).join(', ') || 'none';
    throw new InvalidJob(`target ${slurmTargetPrefix}${target}: this worker knows ${known}`);
  };
  const placed = (name: string, runsOn: string | undefined): JobRunner => {
    if (runsOn === undefined) throw new InvalidJob(`job ${name}, runsOn: expected slurm:<target>`);
    return runnerOf(runsOn.slice(slurmTargetPrefix.length));
  };
  const ofRef = ({ externalId }: JobRef): JobRunner => runnerOf(externalId.split('/')[0]!);
  return {
    kind: 'slurm',
    submit: async (spec) => await placed(spec.name, spec.runsOn).submit(spec),
    withdraw: async (name, runsOn) => await placed(name, runsOn).withdraw?.(name),
    describe: async (ref) => await ofRef(ref).describe(ref),
    cancel: async (ref) => await ofRef(ref).cancel(ref),
    logs: async (ref, cursor, task) => await ofRef(ref).logs(ref, cursor, task),
    tasks: async (ref) => (await ofRef(ref).tasks?.(ref)) ?? [],
    outputs: async (ref) => await ofRef(ref).outputs(ref),
  };
}
