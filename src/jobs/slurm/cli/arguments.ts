import { taskNumbers, tasksPattern } from '../../../contracts/workload-array.ts';
import type { Directives, SlurmJob } from '../transport.ts';

/** sbatch(1). The script comes on stdin; `--export=ALL` is all of an environment that holds nothing but the job's own. */
export function sbatchArguments(d: Directives): string[] {
  const options: Record<string, string | number | undefined> = {
    '--job-name': d.name,
    '--comment': d.comment,
    '--partition': d.partition,
    '--account': d.account,
    '--qos': d.qos,
    '--reservation': d.reservation,
    '--constraint': d.constraint,
    '--array': d.array,
    '--nodes': d.nodes,
    '--ntasks': d.tasks,
    '--ntasks-per-node': d.tasksPerNode,
    '--cpus-per-task': d.cpusPerTask,
    '--mem': `${d.memoryPerNodeMiB}M`,
    '--gpus-per-node': d.gpusPerNode > 0 ? d.gpusPerNode : undefined,
    '--time': d.timeMinutes,
    '--output': d.output,
    '--chdir': d.workingDirectory,
    '--open-mode': 'append',
    '--export': 'ALL',
  };
  return [
    '--parsable',
    d.requeue ? '--requeue' : '--no-requeue',
    ...(d.exclusive ? ['--exclusive'] : []),
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
  ];
}

/** Whole fields, whatever their length; the free text comes last. */
const queueFields = ['JobID', 'ArrayJobID', 'ArrayTaskID', 'Name', 'State', 'NodeList', 'Reason'];
export const squeueArguments = [
  '--me',
  '--states=all',
  '--noheader',
  '--array',
  `--Format=${queueFields.map((field) => `${field}:|`).join(',')}`,
];

/** `JobID` names a task by its array, `123_4`, which `JobIDRaw` does not. */
export const sacctArguments = ['--noheader', '--parsable2', '--allocations', '--format=JobID,JobName,State,NodeList'];

/** Lines of squeue: `id|array|task|name|state|nodes|reason`. A line that is none is skipped. Pure. */
export function parseQueueLines(stdout: string): SlurmJob[] {
  return linesOf(stdout).flatMap(([id, array, task, name, state, nodes, reason]) =>
    jobOf(/^\d+$/.test(task ?? '') && /^\d+$/.test(array ?? '') ? `${array}_${task}` : id, name, state, nodes, reason),
  );
}

/** Lines of sacct: `id|name|state|nodes`; tasks that never started are one line, `123_[4-9%2]`. Pure. */
export function parseAccountLines(stdout: string): SlurmJob[] {
  return linesOf(stdout).flatMap(([id, name, state, nodes]) => {
    const [, array, tasks] = /^(\d+)_\[([\d,:-]+)(?:%\d+)?\]$/.exec(id ?? '') ?? [];
    if (array === undefined || !tasksPattern.test(tasks!)) return jobOf(id, name, state, nodes, '');
    return taskNumbers(tasks!).flatMap((task) => jobOf(`${array}_${task}`, name, state, nodes, ''));
  });
}

const linesOf = (stdout: string): (string | undefined)[][] =>
  stdout.split('\n').map((line) => line.split('|').map((field) => field.trim()));

function jobOf(
  id: string | undefined,
  name: string | undefined,
  state: string | undefined,
  nodes: string | undefined,
  reason: string | undefined,
): SlurmJob[] {
  if (!/^\d+(?:_\d+)?$/.test(id ?? '') || !state) return [];
  // sacct: `CANCELLED by 1000`
  return [{ id: id!, name: name ?? '', states: [state.split(' ')[0]!], nodes: nodes ?? '', reason: reason ?? '' }];
}
