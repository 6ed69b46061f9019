import { formatDuration, formatSize } from '../../contracts/units.ts';
import { byLevel, type PlannedJob, type WorkloadPlan } from '../workload-plan.ts';
import { facts, type Page, sections, table } from './output.ts';
import { plural } from './words.ts';

/** Lines of one level; what is beyond is counted. */
const shown = 40;

/** A plan for people: the DAG by levels, then time and cost at most. */
export function planText(plan: WorkloadPlan, page: Page): string {
  const tasks = plan.jobs.reduce((sum, job) => sum + job.tasks, 0);
  const { paint } = page;
  return sections(
    [
      [
        '',
        `${paint.bold(plan.workload)}: ${plural(plan.jobs.length, 'job')}, ${plural(tasks, 'task')}, ${plural(plan.waves.length, 'wave')}`,
      ],
      [
        '',
        table(
          ['level', 'job', 'tasks', 'needs', 'runs on', 'nodes×processes×cpus', 'memory', 'time'],
          rowsOf(plan.jobs),
          page,
        ),
      ],
      [
        'At most, without retries',
        facts(
          [
            ['time', `${formatDuration(plan.longestMs)}: ${plan.longestChain.join(' → ')}`],
            ['node hours', hours(plan.nodeHours)],
            ['core hours', hours(plan.coreHours)],
            ['gpu hours', plan.gpuHours > 0 ? hours(plan.gpuHours) : undefined],
            [
              'cost',
              plan.dollars === null
                ? 'unknown: the file has no `prices` for every first partition'
                : `$${plan.dollars.toFixed(2)}`,
            ],
          ],
          paint,
        ),
      ],
      ['Notes', plan.notes.join('\n')],
    ],
    paint,
  );
}

function rowsOf(jobs: readonly PlannedJob[]): string[][] {
  const levels = byLevel(jobs);
  return levels.flatMap((level, n) => {
    const rows = level.slice(0, shown).map((job) => rowOf(job));
    return level.length <= shown
      ? rows
      : [...rows, [String(n), `… ${level.length - shown} more`, '', '', '', '', '', '']];
  });
}

const rowOf = (job: PlannedJob): string[] => [
  String(job.level),
  job.job,
  job.array ? `${job.tasks} [${job.array.tasks}%${job.array.atOnce}]` : '1',
  Object.entries(job.needs)
    .map(([name, how]) => (how === 'succeeded' ? name : `${name} (${how})`))
    .join(', ') || '–',
  [job.runsOn, ...(job.partitions.length > 0 ? [`(${job.partitions.join(' → ')})`] : [])].join(' '),
  `${job.nodes}×${Math.ceil(job.processes / job.nodes)}×${job.cpusPerTask}`,
  formatSize(job.memoryPerNodeBytes),
  formatDuration(job.timeLimitMs),
];

const hours = (number: number): string => number.toFixed(2);
