import { type Command, InvalidArgumentError } from 'commander';
import { formatDuration } from '../../../contracts/units.ts';
import { define, defineRequest, group, runs } from '../command.ts';
import { type Paint, type Result, table } from '../output.ts';
import { clock } from '../words.ts';

export function registerJob(program: Command): void {
  const job = group(program, 'job', 'jobs of this machine, and of Slurm on shared folders');

  define(job, 'list <owner>', 'every attempt of every job of a loop, of a workload, or of one run of it', [
    'job list spam-filter',
    'job list option-pricing/monday',
    'job list spam-filter --json',
  ]).action(
    runs<object, [owner: string]>(async (session, _options, owner) => {
      const { localJobs } = await import('../local-jobs.ts');
      const jobs = localJobs(session.environment);
      const listed = await Promise.all(
        (await jobs.list(owner)).map(async ({ ref, runner, record, attempt }) => ({
          job: ref.name,
          attempt,
          submittedAt: record.submittedAt,
          resources: record.spec.resources,
          status: await runner.describe(ref),
        })),
      );
      const { paint } = session.output;
      const text =
        table(
          ['job', 'state', 'progress', 'submitted', 'took', 'reason'],
          listed.map(({ job: name, submittedAt, status }) => [
            name,
            stateColour(status.state, paint)(status.failureClass ?? status.state),
            status.progress ? `${(100 * status.progress.fraction).toFixed(0)} %` : '–',
            clock(submittedAt),
            status.startedAt
              ? formatDuration(
                  (status.endedAt ? Date.parse(status.endedAt) : Date.now()) - Date.parse(status.startedAt),
                )
              : '–',
            status.reason ?? '',
          ]),
          session.output,
        ) || `no job of ${owner} was started on this machine`;
      return { document: { owner, jobs: listed }, text };
    }),
  );

  define(job, 'logs <key>', "what a job prints: an attempt's, or the newest attempt's", [
    'job logs spam-filter/3/train',
    'job logs spam-filter/3/train/2 -f                 follow attempt 2 to its end',
    'job logs option-pricing/monday/simulate --task 7  a task of an array, in the newest attempt that has it',
  ])
    .option('-f, --follow', 'go on until the job ends')
    .option('--task <n>', 'of an array (default: the first that failed, else the first that has started)', taskNumber)
    .action(
      runs<{ follow?: boolean; task?: number }, [key: string]>(
        async (session, { follow = false, task }, key): Promise<Result> => {
          const { printLogs } = await import('../job-logs.ts');
          return await printLogs(session, key, { follow, ...(task !== undefined && { task }) });
        },
      ),
    );

  defineRequest(job, 'cancel <key>', 'end a job in good order: its program saves and leaves; its cycle ends', [
    'job cancel spam-filter/3/train',
    'job cancel option-pricing/monday/simulate         all tasks; what needs it is skipped, `workload resume` runs it',
  ]).action(
    runs<object, [key: string]>(async (session, _options, key) => {
      const { cancelJob } = await import('../../job.ts');
      const { temporal } = await session.goto3();
      const workflowId = await cancelJob(temporal, key);
      return { document: { job: key, workflowId, cancelRequested: true }, text: `${workflowId}: asked to end` };
    }),
  );
}

function taskNumber(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError('expected the number of a task, such as 7');
  return Number(text);
}

const stateColour = (state: string, paint: Paint) =>
  state === 'succeeded'
    ? paint.green
    : state === 'failed'
      ? paint.red
      : state === 'unknown'
        ? paint.yellow
        : paint.bold;
