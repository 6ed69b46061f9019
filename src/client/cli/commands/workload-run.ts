import type { Command } from 'commander';
import type { WorkloadFileContent } from '../../workload-file.ts';
import { define, defineRequest, runs, withReason } from '../command.ts';
import { facts, type Page } from '../output.ts';

/** Verbs that ask a server; `workload validate` and `plan` need none. */
export function registerWorkloadRuns(workload: Command): void {
  withReason(
    defineRequest(workload, 'submit <file>', 'start a workload; under the same key it is started once', [
      'workload submit examples/option-pricing/workload.yaml --key monday',
      'workload submit solver.sbatch --on slurm:lab      an #SBATCH script as it is',
      'workload submit workload.yaml --wait --json       for scripts: exit code 1 when a job failed',
    ])
      .option('--key <key>', "the run's own name (default: the time)")
      .option('--on <target>', 'where a bare script runs', 'local')
      .option('--wait', 'until it has ended, or waits for a person'),
    'submitted by hand',
  ).action(
    runs<{ key?: string; on: string; wait?: boolean; reason: string }, [file: string]>(
      async (session, { key, on, wait = false, reason }, file) => {
        const { readWorkload } = await import('../workload-input.ts');
        const { submitWorkload, WorkloadHandle } = await import('../../workload.ts');
        const content = await readWorkload(session.environment, file, on);
        const goto3 = await session.goto3();
        const submitted = await submitWorkload(goto3, content, {
          ...(key !== undefined && { key }),
          ...{ by: session.by, reason },
        });
        const id = `${submitted.workload}/${submitted.key}`;
        const said = `${id}: ${submitted.outcome}; goto3 workload status ${id} tells how it goes`;
        if (!wait) return { document: submitted, text: [said, ...content.notes].join('\n') };
        session.output.note(said);
        const { awaitWorkload } = await import('../workload-wait.ts');
        const end = await awaitWorkload(new WorkloadHandle(goto3, id), session.output);
        return {
          document: { ...submitted, ...end },
          text: `${id}: ${end.state}, ${end.succeeded} of ${end.jobs} jobs succeeded`,
          exitCode: end.state === 'succeeded' ? 0 : 1,
        };
      },
    ),
  );

  define(workload, 'status <id>', 'how far a workload is, and what it waits for', [
    'workload status option-pricing/monday',
    'workload status option-pricing/monday --json',
  ]).action(
    runs<object, [id: string]>(async (session, _options, id) => {
      const { WorkloadHandle } = await import('../../workload.ts');
      const handle = new WorkloadHandle(await session.goto3(), id);
      try {
        const status = await handle.status();
        return { document: status, text: statusText(status, session.output) };
      } catch (error) {
        const report = (error as Error).name === 'NotRunning' ? await handle.report() : undefined;
        if (!report) throw error;
        const { state, jobs, succeeded, failed, skipped, cancelled, endedAt } = report;
        const text = facts(
          [
            ['workload', id],
            ['state', state],
            ['jobs', `${jobs}: ${succeeded} succeeded, ${failed} failed, ${skipped} skipped, ${cancelled} cancelled`],
            ['ended', endedAt],
          ],
          session.output.paint,
        );
        return { document: { report }, text };
      }
    }),
  );

  defineRequest(workload, 'cancel <id>', 'end its jobs in good order; `resume` goes on from what succeeded', [
    'workload cancel option-pricing/monday',
  ]).action(
    runs<object, [id: string]>(async (session, _options, id) => {
      const { WorkloadHandle } = await import('../../workload.ts');
      await new WorkloadHandle(await session.goto3(), id).cancel();
      return { document: { workload: id, cancelRequested: true }, text: `${id}: asked to end` };
    }),
  );

  withReason(
    defineRequest(workload, 'resume <id>', 'run only what failed or is missing', [
      'workload resume option-pricing/monday --reason "the disk is repaired"',
      'workload resume option-pricing/monday --file workload.yaml --reason "more memory"',
    ]).option('--file <file>', 'a changed file: jobs that it leaves as they were do not run again'),
    'resumed by hand',
  ).action(
    runs<{ file?: string; reason: string }, [id: string]>(async (session, { file, reason }, id) => {
      const { readWorkload } = await import('../workload-input.ts');
      const { WorkloadHandle } = await import('../../workload.ts');
      const content: WorkloadFileContent | undefined =
        file === undefined ? undefined : await readWorkload(session.environment, file);
      const handle = new WorkloadHandle(await session.goto3(), id);
      const answer = await handle.resume({ by: session.by, ...session.word(reason) }, content);
      return { document: { requestId: session.requestId, ...answer }, text: `${id}: ${answer.reason}` };
    }),
  );
}

type Handle = InstanceType<typeof import('../../workload.ts').WorkloadHandle>;

function statusText(status: Awaited<ReturnType<Handle['status']>>, { paint }: Page): string {
  const { counts, running } = status;
  const shown = running.slice(0, 8).join(', ') + (running.length > 8 ? ` and ${running.length - 8} more` : '');
  return facts(
    [
      ['workload', `${status.workload}/${status.key}`],
      ['state', `${status.state}, round ${status.round}`],
      ['waits for', status.waitsFor],
      ['', status.command ?? undefined],
      [
        'jobs',
        `${status.jobs}: ${counts.succeeded} succeeded, ${counts.failed} failed, ${counts.skipped} skipped, ${counts.cancelled} cancelled, ${running.length} running`,
      ],
      ['running', running.length > 0 ? shown : undefined],
      ...status.failures.map(({ job, failureClass, reason }): [string, string] => [
        job,
        `${paint.red(failureClass)}: ${reason}`,
      ]),
    ],
    paint,
  );
}
