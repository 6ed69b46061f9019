import type { JobRef, JobRunner } from '../contracts/job.ts';
import { InvalidJob } from './errors.ts';

/**
 * One runner for all targets of a kind: a spec names its target (`slurm:lab`), a reference carries it (`lab/123`). A target
 * is opened when its first job comes, so that a mistake in one keeps no other from working.
 * @param prefix of target names, `slurm:`
 */
export function createTargets(
  kind: JobRunner['kind'],
  prefix: string,
  runners: ReadonlyMap<string, () => JobRunner | Promise<JobRunner>>,
): JobRunner {
  const opened = new Map<string, Promise<JobRunner>>();
  const runnerOf = async (target: string): Promise<JobRunner> => {
    const open = runners.get(target);
    if (!open) {
      const known = [...runners.keys()].map((name) => `${prefix}${name}`).join(', ') || 'none';
      throw new InvalidJob(`target ${prefix}${target}: this worker knows ${known}`);
    }
    const runner = opened.get(target) ?? (async () => await open())();
    opened.set(target, runner);
    return await runner.catch((error: unknown) => {
      opened.delete(target);
      throw error;
    });
  };
  const placed = async (name: string, runsOn: string | undefined): Promise<JobRunner> => {
    if (runsOn === undefined) throw new InvalidJob(`job ${name}, runsOn: expected ${prefix}<target>`);
    return await runnerOf(runsOn.slice(prefix.length));
  };
  const ofRef = async ({ externalId }: JobRef): Promise<JobRunner> => await runnerOf(externalId.split('/')[0]!);
  return {
    kind,
    submit: async (spec) => await (await placed(spec.name, spec.runsOn)).submit(spec),
    withdraw: async (name, runsOn) => await (await placed(name, runsOn)).withdraw?.(name),
    describe: async (ref) => await (await ofRef(ref)).describe(ref),
    cancel: async (ref) => await (await ofRef(ref)).cancel(ref),
    logs: async (ref, cursor, task) => await (await ofRef(ref)).logs(ref, cursor, task),
    tasks: async (ref) => {
      const runner = await ofRef(ref);
      if (!runner.tasks) throw new InvalidJob(`runner ${kind}: has no arrays`);
      return await runner.tasks(ref);
    },
    outputs: async (ref) => await (await ofRef(ref)).outputs(ref),
  };
}
