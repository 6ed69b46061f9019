import { batchConstraint } from '../../contracts/job.ts';
import { UnitError } from '../../contracts/units.ts';
import { type ArrayRange, parseArray } from '../../contracts/workload-array.ts';
import { slurmCount, slurmGpus, slurmLogPath, slurmMemory, slurmTime, slurmWord } from './quantities.ts';

/** What the directives of a script ask for, in our units. */
export interface SbatchOptions {
  name?: string;
  partitions?: string[];
  account?: string;
  qos?: string;
  reservation?: string;
  constraint?: string;
  nodes?: number;
  tasks?: number;
  tasksPerNode?: number;
  cpusPerTask?: number;
  memoryPerNode?: number;
  memoryPerCpu?: number;
  gpusPerNode?: number;
  gpus?: number;
  timeMs?: number;
  array?: ArrayRange;
  exclusive?: true;
}

export interface OptionRule {
  /** Whether it stands alone, takes a value, or may do either. */
  value: 'none' | 'required' | 'optional';
  read: (value: string) => Partial<SbatchOptions>;
  /** Why it has no effect here; said to the user, never passed over in silence. */
  note?: string;
}

const ignored = (
  value: OptionRule['value'],
  note: string,
  check: (text: string) => unknown = () => {},
): OptionRule => ({
  value,
  note,
  read: (text) => {
    check(text);
    return {};
  },
});
const wants = (read: (value: string) => Partial<SbatchOptions>): OptionRule => ({ value: 'required', read });
const refused = (why: string): OptionRule => ({
  value: 'optional',
  read: () => {
    throw new UnitError(why);
  },
});

/** Every option that a script may have (sbatch(1)); what is not here is refused. */
export const optionRules: Readonly<Record<string, OptionRule>> = {
  'job-name': wants((text) => ({ name: slurmWord(text) })),
  partition: wants((text) => ({ partitions: text.split(',').map(slurmWord) })),
  account: wants((text) => ({ account: slurmWord(text) })),
  qos: wants((text) => ({ qos: slurmWord(text) })),
  reservation: wants((text) => ({ reservation: slurmWord(text) })),
  constraint: wants((text) => {
    const parsed = batchConstraint.safeParse(text);
    if (!parsed.success) throw new UnitError(parsed.error.issues[0]!.message);
    return { constraint: parsed.data };
  }),
  nodes: wants((text) => ({ nodes: slurmCount(text, 1, 10_000) })),
  ntasks: wants((text) => ({ tasks: slurmCount(text, 1, 1_000_000) })),
  'ntasks-per-node': wants((text) => ({ tasksPerNode: slurmCount(text, 1, 4_096) })),
  'cpus-per-task': wants((text) => ({ cpusPerTask: slurmCount(text, 1, 4_096) })),
  mem: wants((text) => ({ memoryPerNode: slurmMemory(text) })),
  'mem-per-cpu': wants((text) => ({ memoryPerCpu: slurmMemory(text) })),
  time: wants((text) => ({ timeMs: slurmTime(text) })),
  array: wants((text) => ({ array: parseArray(text) })),
  gres: wants((text) => ({ gpusPerNode: slurmGpus(text) })),
  'gpus-per-node': wants((text) => ({ gpusPerNode: slurmGpus(text) })),
  gpus: wants((text) => ({ gpus: slurmGpus(text) })),
  exclusive: { value: 'none', read: () => ({ exclusive: true }) },
  output: ignored('required', 'the log is kept by goto3: goto3 job logs', slurmLogPath),
  error: ignored('required', 'the log is kept by goto3: goto3 job logs', slurmLogPath),
  'open-mode': ignored('required', 'the log is always appended to'),
  requeue: ignored('none', 'the target says whether Slurm requeues (docs/hpc.md)'),
  'no-requeue': ignored('none', 'the target says whether Slurm requeues (docs/hpc.md)'),
  comment: ignored('required', 'the comment is the name of the job'),
  'mail-type': ignored('required', 'no mail is sent; goto3 status tells'),
  'mail-user': ignored('required', 'no mail is sent; goto3 status tells'),
  signal: ignored('required', 'the program gets SIGTERM before its end, with time to save'),
  export: ignored('required', 'the environment is that of the workload file, never of the shell that submits'),
  parsable: ignored('none', 'goto3 reads the answer itself'),
  dependency: refused('dependencies belong into the workload file: needs'),
  wrap: refused('a script has its own text: --wrap is not for scripts'),
  chdir: refused('a job starts in the folder of its workload file'),
};

export const shortNames: Readonly<Record<string, string>> = {
  J: 'job-name',
  p: 'partition',
  A: 'account',
  q: 'qos',
  C: 'constraint',
  N: 'nodes',
  n: 'ntasks',
  c: 'cpus-per-task',
  t: 'time',
  a: 'array',
  G: 'gpus',
  o: 'output',
  e: 'error',
  d: 'dependency',
  D: 'chdir',
};
