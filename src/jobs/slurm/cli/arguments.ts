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
    '--nodes': d.nodes,
    '--ntasks': d.tasks,
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
    ...Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`])),
  ];
}

/** Whole fields, whatever their length; the free text comes last. */
const queueFields = ['JobID', 'Name', 'State', 'NodeList', 'Reason'];
export const squeueArguments = [
  '--me',
  '--states=all',
  '--noheader',
  '--array',
  `--Format=${queueFields.map((field) => `${field}:|`).join(',')}`,
];

export const sacctArguments = [
  '--noheader',
  '--parsable2',
  '--allocations',
  '--format=JobIDRaw,JobName,State,NodeList',
];

/** Lines of squeue and sacct: `id|name|state|nodes|reason`. A line that is none is skipped. Pure. */
export function parseJobLines(stdout: string): SlurmJob[] {
  return stdout.split('\n').flatMap((line) => {
    const [id, name, state, nodes, reason] = line.split('|').map((field) => field.trim());
    if (!/^\d+$/.test(id ?? '') || !state) return [];
    // sacct: `CANCELLED by 1000`
    return [{ id: id!, name: name ?? '', states: [state.split(' ')[0]!], nodes: nodes ?? '', reason: reason ?? '' }];
  });
}
