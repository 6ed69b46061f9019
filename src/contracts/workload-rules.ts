import { type SlurmTarget, slurmTargetPrefix } from './slurm-target.ts';
import { arrayTooLarge } from './workload-array.ts';
import { piecesOf } from './workload-places.ts';
import type { WorkloadSpec } from './workload-spec.ts';

/** A channel cannot have this name: the script of a job lies there. */
export const scriptChannel = 'sbatch_script';

export const channelOfJob = (job: string): string => job.replaceAll('-', '_');

interface Problem {
  path: (string | number)[];
  message: string;
}
type Rules = Pick<WorkloadSpec, 'jobs' | 'runsOn'>;

/**
 * What the fields of a workload say about each other. Pure.
 * @param scriptsRead what the directives of its scripts say is in the spec already
 */
export function workloadProblems(spec: Rules, { scriptsRead = false }: { scriptsRead?: boolean } = {}): Problem[] {
  const problems = Object.entries(spec.jobs).flatMap(([name, job]) => jobProblems(spec, name, job, scriptsRead));
  return problems.length > 0 ? problems : cycleProblems(spec);
}

/** What is known of Slurm targets, by name: `lab` of `slurm:lab`. */
export type Clusters = Readonly<Record<string, Pick<SlurmTarget, 'maxArraySize'>>>;

/** What is too large for the cluster that it is for, where the target says how large that is. Pure. */
export function sizeProblems(spec: Rules, clusters: Clusters): Problem[] {
  return Object.entries(spec.jobs).flatMap(([name, { array, runsOn = spec.runsOn }]) => {
    const cluster = runsOn.startsWith(slurmTargetPrefix) ? runsOn.slice(slurmTargetPrefix.length) : '';
    const known = Object.hasOwn(clusters, cluster) ? clusters[cluster] : undefined;
    const message = array && arrayTooLarge(array.tasks, known?.maxArraySize);
    return message === undefined ? [] : [{ path: ['jobs', name, 'array'], message: `${runsOn}: ${message}` }];
  });
}

function jobProblems(spec: Rules, name: string, job: Rules['jobs'][string], scriptsRead: boolean): Problem[] {
  const unread = ({ script }: Rules['jobs'][string]): boolean => script !== undefined && !scriptsRead;
  const at = (...path: (string | number)[]) => ['jobs', name, ...path];
  const problems: Problem[] = [];
  const say = (path: (string | number)[], message: string) => problems.push({ path: at(...path), message });

  if ((job.run === undefined) === (job.script === undefined)) say([], 'expected either "run" or "script"');
  for (const [other, how] of Object.entries(job.needs)) {
    const needed = spec.jobs[other];
    if (!Object.hasOwn(spec.jobs, other) || !needed) {
      say(['needs', other], `there is no job ${JSON.stringify(other)}`);
      continue;
    }
    const paired = job.array !== undefined && needed.array?.tasks === job.array.tasks;
    if (how === 'each' && !paired && !unread(job) && !unread(needed))
      say(['needs', other], `"each" pairs tasks: expected both ${name} and ${other} to be arrays of the same tasks`);
  }
  const channels = new Set(Object.keys(job.needs).map(channelOfJob));
  for (const input of Object.keys(job.inputs))
    if (channels.has(input) || input === scriptChannel)
      say(['inputs', input], `the name is taken by ${input === scriptChannel ? 'the script' : 'a job that it needs'}`);

  for (const [path, text] of texts(job)) {
    const pieces = piecesOf(text);
    if (!pieces) say(path, 'expected "}" after "${"');
    for (const piece of pieces ?? [])
      if (typeof piece !== 'string') {
        const why = whyNoPlace(piece.place, job, unread(job));
        if (why !== undefined) say(path, why);
      }
  }
  const { nodes = 1, tasks, upTo, memoryPerNode, time } = job.resources;
  if (job.resources.efa && job.resources.constraint?.includes('|'))
    say(['resources', 'constraint'], 'expected features joined by "&" beside efa: true');
  if (tasks !== undefined && tasks < nodes) say(['resources', 'tasks'], `expected at least one task a node (${nodes})`);
  if (upTo?.time !== undefined && time !== undefined && upTo.time < time)
    say(['resources', 'upTo', 'time'], 'expected no less than resources.time');
  if (upTo?.memoryPerNode !== undefined && memoryPerNode !== undefined && upTo.memoryPerNode < memoryPerNode)
    say(['resources', 'upTo', 'memoryPerNode'], 'expected no less than resources.memoryPerNode');
  if ((job.runsOn ?? spec.runsOn) === 'local') {
    if (nodes > 1) say(['resources', 'nodes'], 'one machine is one node: expected 1, or runsOn: slurm:<target>');
    if (job.launcher === 'srun')
      say(['launcher'], 'srun is part of Slurm: expected "mpirun", or runsOn: slurm:<target>');
  }
  return problems;
}

function* texts(job: Rules['jobs'][string]): Iterable<[path: (string | number)[], text: string]> {
  for (const [i, text] of (job.run ?? []).entries()) yield [['run', i], text];
  for (const [name, value] of Object.entries(job.env)) if (typeof value === 'string') yield [['env', name], value];
}

/** Why a place cannot be filled in; undefined when it can. */
function whyNoPlace(place: string, job: Rules['jobs'][string], unread: boolean): string | undefined {
  const written = `\${${place}}`;
  if (place === 'output' || place === 'checkpoints') return undefined;
  if (place === 'task') return job.array || unread ? undefined : `${written}: only an array has tasks`;
  const [, owner, what] = /^([a-z][a-z0-9_-]*)\.([a-z][a-z0-9_]*)$/.exec(place) ?? [];
  if (owner === 'inputs' && what !== undefined)
    return Object.hasOwn(job.inputs, what) ? undefined : `${written}: there is no input ${JSON.stringify(what)}`;
  if (owner !== undefined && what === 'outputs')
    return Object.hasOwn(job.needs, owner) ? undefined : `${written}: add ${JSON.stringify(owner)} to needs`;
  return `${written}: expected \${<job>.outputs}, \${inputs.<name>}, \${output}, \${checkpoints} or \${task}; write $\${ for a literal \${`;
}

/** Jobs that wait for themselves. Names the whole circle once, at the need that closes it. */
function cycleProblems({ jobs }: Rules): Problem[] {
  const done = new Set<string>();
  for (const start of Object.keys(jobs)) {
    // Without recursion: a chain may be as long as the file.
    const path: string[] = [];
    const inPath = new Set<string>();
    const stack: { name: string; leave: boolean }[] = [{ name: start, leave: false }];
    while (stack.length > 0) {
      const { name, leave } = stack.pop()!;
      if (leave) {
        path.pop();
        inPath.delete(name);
        done.add(name);
        continue;
      }
      if (done.has(name)) continue;
      path.push(name);
      inPath.add(name);
      stack.push({ name, leave: true });
      for (const next of Object.keys(jobs[name]!.needs)) {
        if (inPath.has(next)) {
          const circle = [...path.slice(path.indexOf(next)), next];
          const shown = circle.length > 12 ? [...circle.slice(0, 6), '…', ...circle.slice(-5)] : circle;
          return [{ path: ['jobs', name, 'needs', next], message: `a circle of needs: ${shown.join(' → ')}` }];
        }
        if (!done.has(next)) stack.push({ name: next, leave: false });
      }
    }
  }
  return [];
}
