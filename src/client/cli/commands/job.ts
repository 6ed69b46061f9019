import type { Command } from 'commander';
import { formatDuration } from '../../../contracts/units.ts';
import { define, defineRequest, group, runs } from '../command.ts';
import { type Paint, type Result, table } from '../output.ts';
import { clock } from '../words.ts';

export function registerJob(program: Command): void {
  const job = group(program, 'job', 'jobs of this machine, and of Slurm on shared folders');

  define(job, 'list <loop>', 'every attempt of every job of a loop', [
    'job list spam-filter',
    'job list spam-filter --json',
  ]).action(
    runs<object, [loop: string]>(async (session, _options, loop) => {
      const { localJobs } = await import('../local-jobs.ts');
      const jobs = localJobs(session.environment);
      const listed = await Promise.all(
        (await jobs.list(loop)).map(async ({ ref, runner, record, attempt }) => ({
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
        ) || `no job of the loop ${loop} was started on this machine`;
      return { document: { loop, jobs: listed }, text };
    }),
  );

  define(job, 'logs <key>', "what a job prints: an attempt's, or the newest attempt's", [
    'job logs spam-filter/3/train',
    'job logs spam-filter/3/train/2 -f                 follow attempt 2 to its end',
  ])
    .option('-f, --follow', 'go on until the job ends')
    .action(
      runs<{ follow?: boolean }, [key: string]>(async (session, { follow = false }, key): Promise<Result> => {
        const { printLogs } = await import('../job-logs.ts');
        return await printLogs(session, key, follow);
      }),
    );

  defineRequest(job, 'cancel <key>', 'end a job in good order: its program saves and leaves; its cycle ends', [
    'job cancel spam-filter/3/train',
  ]).action(
    runs<object, [key: string]>(async (session, _options, key) => {
      const { cancelJob } = await import('../../job.ts');
      const { temporal } = await session.goto3();
      const workflowId = await cancelJob(temporal, key);
      return { document: { job: key, workflowId, cancelRequested: true }, text: `${workflowId}: asked to end` };
    }),
  );
}

const stateColour = (state: string, paint: Paint) =>
  state === 'succeeded'
    ? paint.green
    : state === 'failed'
      ? paint.red
      : state === 'unknown'
        ? paint.yellow
        : paint.bold;
