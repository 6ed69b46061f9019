import type { Command } from 'commander';
import { define, group, runs } from '../command.ts';
import { facts, table } from '../output.ts';
import { plural } from '../words.ts';
import { registerWorkloadRuns } from './workload-run.ts';

export function registerWorkload(program: Command): void {
  const workload = group(program, 'workload', 'workloads: files of HPC jobs, and #SBATCH scripts as they are');

  define(workload, 'validate <file>', 'check a workload file or an #SBATCH script; starts and writes nothing', [
    'workload validate examples/option-pricing/workload.yaml',
    'workload validate solver.sbatch --on slurm:lab --json',
  ])
    .option('--on <target>', 'where a bare script would run', 'local')
    .action(
      runs<{ on: string }, [file: string]>(async ({ output, environment }, { on }, file) => {
        const { readWorkload } = await import('../workload-input.ts');
        const { spec, notes } = await readWorkload(environment, file, on);
        const jobs = Object.values(spec.jobs);
        const text = [
          `${file} is ${output.paint.green('valid')}.`,
          facts(
            [
              ['workload', spec.workload],
              ['runs on', [...new Set(jobs.map((job) => job.runsOn ?? spec.runsOn))].join(', ')],
              ['jobs', `${plural(jobs.length, 'job')}, ${jobs.filter((job) => job.array).length} of them arrays`],
            ],
            output.paint,
          ),
          ...notes,
        ].join('\n');
        return { document: { valid: true, file, spec, notes }, text };
      }),
    );

  define(workload, 'plan <file>', 'the DAG, what it takes at most and what it costs; starts and writes nothing', [
    'workload plan examples/option-pricing/workload.yaml',
    'workload plan workload.yaml --svg dag.svg         draw it, too',
  ])
    .option('--on <target>', 'where a bare script would run', 'local')
    .option('--svg <file>', 'write the DAG as a picture')
    .action(
      runs<{ on: string; svg?: string }, [file: string]>(async ({ output, environment }, { on, svg }, file) => {
        const { readWorkload } = await import('../workload-input.ts');
        const { planWorkload } = await import('../../workload-plan.ts');
        const { planText } = await import('../workload-text.ts');
        const plan = planWorkload(await readWorkload(environment, file, on));
        if (svg !== undefined) {
          const { writeFile } = await import('node:fs/promises');
          const { workloadSvg } = await import('../../workload-svg.ts');
          await writeFile(svg, workloadSvg(plan));
        }
        const text = [planText(plan, output), ...(svg === undefined ? [] : [`drawn in ${svg}`])].join('\n\n');
        return { document: plan, text };
      }),
    );

  define(workload, 'queues <file>', 'partitions of an AWS ParallelCluster v3 file, or why they can have no node', [
    'workload queues cluster.yaml',
    'workload queues cluster.yaml --json',
  ]).action(
    runs<object, [file: string]>(async ({ output }, _options, file) => {
      const { readParallelCluster } = await import('../../parallelcluster-file.ts');
      const queues = await readParallelCluster(file);
      const rows = queues.flatMap(({ partition, purchase, resources }) =>
        resources.map(({ name, instanceTypes, architecture, minNodes, maxNodes, efa }) => [
          ...[partition, purchase, name, instanceTypes.join(', '), architecture],
          ...[`${minNodes}–${maxNodes}`, efa ? 'yes' : 'no'],
        ]),
      );
      const head = ['partition', 'purchase', 'resource', 'instances', 'architecture', 'nodes', 'efa'];
      return { document: { file, queues }, text: table(head, rows, output) };
    }),
  );

  registerWorkloadRuns(workload);
}
