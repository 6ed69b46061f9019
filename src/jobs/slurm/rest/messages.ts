import { taskNumbers, tasksPattern } from '../../../contracts/workload-array.ts';
import { anyTask, type Directives, type SlurmJob, type Submission } from '../transport.ts';

/** `v0.0.38` → 38 */
export const versionNumber = (version: string): number => Number(/^v0\.0\.(\d+)$/.exec(version)?.[1] ?? 0);

/** The oldest and newest version whose published OpenAPI was read; only 38 has met a real daemon. */
const oldest = 38;
const newest = 45;

/** The newest API version that a daemon offers (by its OpenAPI paths) and that we know. */
export function chooseVersion(paths: readonly string[]): string | undefined {
  const offered = new Set(paths.flatMap((path) => /^\/slurm\/(v0\.0\.\d+)\/job\/submit\/?$/.exec(path)?.[1] ?? []));
  return [...offered]
    .filter((version) => versionNumber(version) >= oldest && versionNumber(version) <= newest)
    .sort((a, b) => versionNumber(b) - versionNumber(a))[0];
}

/**
 * The body of a submit. Up to 38 the environment is a dictionary and numbers are plain; from 39 on it is a list of
 * `NAME=value`, and optional numbers are `{set, number}` (openapi.json of slurmrestd 23.02 to 25.11).
 */
export function submitBody(version: string, { directives: d, script, environment }: Submission): object {
  const modern = versionNumber(version) > 38;
  const optional = (number: number) => (versionNumber(version) > 39 ? { set: true, number } : number);
  return {
    script,
    job: {
      ...texts(d),
      environment: modern ? Object.entries(environment).map(([name, value]) => `${name}=${value}`) : environment,
      ...(d.array !== undefined && { array: d.array }),
      ...(d.tasksPerNode !== undefined && { tasks_per_node: d.tasksPerNode }),
      ...(modern ? { minimum_nodes: d.nodes, maximum_nodes: d.nodes } : { nodes: [d.nodes, d.nodes] }),
      tasks: d.tasks,
      cpus_per_task: d.cpusPerTask,
      memory_per_node: optional(d.memoryPerNodeMiB),
      ...(d.gpusPerNode > 0 &&
        (modern ? { tres_per_node: `gres/gpu:${d.gpusPerNode}` } : { gres: `gpu:${d.gpusPerNode}` })),
      time_limit: optional(d.timeMinutes),
      requeue: d.requeue,
      open_mode: modern ? ['APPEND'] : 'append',
    },
  };
}

const texts = (d: Directives): object => ({
  name: d.name,
  comment: d.comment,
  ...(d.partition !== undefined && { partition: d.partition }),
  ...(d.account !== undefined && { account: d.account }),
  ...(d.qos !== undefined && { qos: d.qos }),
  ...(d.reservation !== undefined && { reservation: d.reservation }),
  ...(d.constraint !== undefined && { constraints: d.constraint }),
  // 0.0.38 to 0.0.40 take a word; later ones a list of flags, which a word is read as, too.
  ...(d.exclusive && { exclusive: 'true' }),
  standard_output: d.output,
  current_working_directory: d.workingDirectory,
});

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The jobs of an answer. Members change type between versions; what is not understood is left out, never guessed. */
export function decodeJobs(body: unknown): (SlurmJob & { user: string })[] {
  const jobs = isObject(body) && Array.isArray(body.jobs) ? (body.jobs as unknown[]) : [];
  return jobs.filter(isObject).flatMap((job) => {
    const states = statesOf(job.job_state);
    return idsOf(job)
      .map((id) => ({
        id,
        name: textOf(job.name),
        states,
        reason: textOf(job.state_reason),
        nodes: textOf(job.nodes),
        user: textOf(job.user_name),
      }))
      .filter(() => states.length > 0);
  });
}

/**
 * A job is one record; of an array every task that has started is one, and all that wait are one more, whose
 * `array_task_string` names them: `5-63%16`. It ends in "..." where it would be long (SLURM_BITSTR_LEN).
 */
function idsOf(job: Json): string[] {
  const id = numberOf(job.job_id);
  const array = numberOf(job.array_job_id);
  if (id === undefined) return [];
  if (array === undefined || array === 0) return [String(id)];
  const waiting = textOf(job.array_task_string);
  if (waiting === '') return [`${array}_${numberOf(job.array_task_id) ?? 0}`];
  const listed = waiting.replace(/%\d+$/, '');
  if (!tasksPattern.test(listed)) return [anyTask(String(array))];
  return taskNumbers(listed).map((task) => `${array}_${task}`);
}

/** A text up to 0.0.39, a list of base state and flags later; in accounting an object with `current`. */
function statesOf(value: unknown): string[] {
  if (typeof value === 'string') return [value.toUpperCase()];
  if (Array.isArray(value)) return value.flatMap(statesOf);
  return isObject(value) ? statesOf(value.current) : [];
}

/** A number, or `{set, infinite, number}` from 0.0.40 on. */
function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return isObject(value) && value.set !== false && typeof value.number === 'number' ? value.number : undefined;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The id of a submit's answer. Undefined when it names none, or 0, which is what a failed submit says. */
export function submittedId(body: unknown): string | undefined {
  const id = isObject(body)
    ? (numberOf(body.job_id) ?? (isObject(body.result) ? numberOf(body.result.job_id) : undefined))
    : undefined;
  return id === undefined || id <= 0 ? undefined : String(id);
}

/** What the daemon says went wrong, in one text; empty when nothing did. */
export function errorsOf(body: unknown): string {
  const errors = isObject(body) && Array.isArray(body.errors) ? (body.errors as unknown[]) : [];
  return errors
    .filter(isObject)
    .map((e) => [textOf(e.error), textOf(e.description)].filter((text) => text !== '').join(': '))
    .join('; ');
}
