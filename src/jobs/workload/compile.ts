// biome-ignore-all lint/suspicious/noTemplateCurlyInString: places of a workload are written so
import type { JobBatch, JobResources, JobSpec } from '../../contracts/job.ts';
import { withPlaces } from '../../contracts/workload-places.ts';
import { channelOfJob, scriptChannel } from '../../contracts/workload-rules.ts';
import type { WorkloadJob, WorkloadSpec } from '../../contracts/workload-spec.ts';

/** A workload whose scripts were read: `jobs` has what their directives say. */
export interface CompileSource {
  spec: WorkloadSpec;
  /** Absolute folder of the file. */
  folder: string;
  /** How the script of a job is run, by job. */
  scripts: Readonly<Record<string, { file: string; interpreter: readonly string[] }>>;
  /** Inputs that are one file, by job and input: `${inputs.x}` is then the file. */
  singleFiles: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const gibibyte = 2 ** 30;
const minutes = 60_000;
/** Escalation ends at this multiple of what is asked for, unless the file says where. */
const escalation = 4;

/** What a job asks for, defaults filled in; per node, but cpus per task. Pure. */
export function resourcesOf({ resources: r }: WorkloadJob): { asked: JobResources; max: JobResources } {
  const memoryBytes = r.memoryPerNode ?? gibibyte;
  const timeLimitMs = r.time ?? 10 * minutes;
  const asked: JobResources = { gpus: r.gpusPerNode ?? 0, cpus: r.cpusPerTask ?? 1, memoryBytes, timeLimitMs };
  return {
    asked,
    max: {
      ...asked,
      memoryBytes: r.upTo?.memoryPerNode ?? memoryBytes * escalation,
      timeLimitMs: r.upTo?.time ?? timeLimitMs * escalation,
    },
  };
}

export const nodesOf = (job: WorkloadJob): number => job.resources.nodes ?? 1;
export const tasksOf = (job: WorkloadJob): number => job.resources.tasks ?? nodesOf(job);
export const runsOnOf = (spec: WorkloadSpec, job: WorkloadJob): string => job.runsOn ?? spec.runsOn;

/** The JobSpec of a job, but for the channels that other jobs fill. @param name key of its effects. Pure. */
export function jobSpecOf(source: CompileSource, jobName: string, name: string): JobSpec {
  const { spec, folder, scripts, singleFiles } = source;
  const job = spec.jobs[jobName]!;
  const place = (text: string): string =>
    withPlaces(text, (written) => renamed(written, job, singleFiles[jobName] ?? {}));
  const script = scripts[jobName];
  const program = script ? [...script.interpreter, `\${channel.${scriptChannel}}/${script.file}`] : job.run!.map(place);
  const environment = Object.fromEntries(
    Object.entries({ ...spec.env, ...job.env }).map(([key, value]) => [
      key,
      typeof value === 'string' ? place(value) : value,
    ]),
  );
  const { asked } = resourcesOf(job);
  const batch = batchOf(spec, job);
  const runsOn = runsOnOf(spec, job);
  return {
    name,
    program,
    workingDirectory: folder,
    environment,
    hyperparameters: {},
    channels: {},
    resources: asked,
    progressTimeoutMs: job.progressTimeout ?? asked.timeLimitMs,
    nice: 0,
    fillsIn: true,
    ...(runsOn !== 'local' && { runsOn }),
    ...(job.outputs.length > 0 && { leaves: job.outputs }),
    ...(job.array && { array: job.array }),
    ...(batch && { batch }),
  };
}

/** A place of the file in the words of a JobSpec. */
function renamed(place: string, job: WorkloadJob, singleFiles: Readonly<Record<string, string>>): string {
  const [owner, what] = place.split('.');
  if (what === undefined) return `\${${place}}`;
  if (owner === 'inputs') {
    const file = singleFiles[what];
    return `\${channel.${what}}${file === undefined ? '' : `/${file.replaceAll('${', () => '$${')}`}`;
  }
  return `\${channel.${channelOfJob(owner!)}}${job.needs[owner!] === 'each' ? '/${task}' : ''}`;
}

function batchOf(spec: WorkloadSpec, job: WorkloadJob): JobBatch | undefined {
  const { constraint, efa, exclusive } = job.resources;
  const local = runsOnOf(spec, job) === 'local';
  if (local && job.launcher === undefined) return undefined;
  const features = [...(efa ? ['efa'] : []), ...(constraint === undefined ? [] : [constraint])].join('&');
  return {
    nodes: nodesOf(job),
    tasks: tasksOf(job),
    ...(job.launcher !== undefined && { launcher: job.launcher }),
    ...(local
      ? {}
      : {
          ...(job.partitions && { partition: job.partitions[0]! }),
          ...(job.account !== undefined && { account: job.account }),
          ...(job.qos !== undefined && { qos: job.qos }),
          ...(job.reservation !== undefined && { reservation: job.reservation }),
          ...(features !== '' && { constraint: features }),
          ...(exclusive === true && { exclusive: true as const }),
          ...(job.startWithin !== undefined && { startWithinMs: job.startWithin }),
        }),
  };
}
