import type { Command } from 'commander';
import type { Answer } from '../../../contracts/messages.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, defineRequest, group, runs, withReason } from '../command.ts';
import { facts, type Result, table } from '../output.ts';
import type { Session } from '../session.ts';
import { clock } from '../words.ts';

/** A running cycle stops its job and its rollout before the loop ends. */
const deleteWaitMs = 60_000;

export function registerLoop(program: Command): void {
  const loop = group(program, 'loop', 'loops: what they do, and what they are asked');

  define(loop, 'list', 'every loop that was applied, running or not', ['loop list', 'loop list --json']).action(
    runs(async (session) => {
      const { listLoops } = await import('../loop-facts.ts');
      const { temporal, note } = await serverIfThere(session);
      const loops = await listLoops(await session.store(), temporal);
      if (note !== null) session.output.note(`goto3: ${note}`);
      const text =
        table(
          ['loop', 'state', 'cycles', 'last cycle', 'ended', 'waits for'],
          loops.map(({ name, state, cycles, last, waitsFor }) => [
            name,
            state,
            String(cycles),
            last ? `${last.cycle}: ${last.outcome}` : '–',
            last ? clock(last.endedAt) : '–',
            waitsFor ?? '',
          ]),
          session.output,
        ) || 'no loop was applied yet: goto3 apply <file>';
      return { document: { loops, temporal: note ?? 'reachable' }, text };
    }),
  );

  define(loop, 'status <loop>', 'what a loop does now, and what it waits for', [
    'loop status spam-filter',
    'loop status spam-filter --json',
  ]).action(
    runs<object, [name: string]>(async (session, _options, name) => {
      const goto3 = await session.goto3();
      const { monitorLines, monitorRecord } = await import('../monitor-facts.ts');
      const status = await goto3.loop(name).status();
      const monitor = await monitorRecord(await session.store(), name);
      const document = { ...status, monitor };
      const { running, queued, paused, blocked, command, last, nextNotBeforeMs } = document;
      const text = facts(
        [
          ['loop', name],
          ['state', document.state],
          ['waits for', document.waitsFor],
          ['running', running ? `cycle ${name}/${running.n}: ${running.reason}` : undefined],
          ['queued', queued ? `${queued.reason} (by ${queued.by})` : undefined],
          ['not before', nextNotBeforeMs === null ? undefined : clock(nextNotBeforeMs)],
          ['paused', paused ? `by ${paused.by} at ${clock(paused.atMs)}: ${paused.reason}` : undefined],
          ['cannot go on', blocked ? `since ${clock(blocked.sinceMs)}: ${blocked.reason}` : undefined],
          ...(command?.split('\n') ?? []).map((line): [string, string] => ['', line]),
          ['last', last ? `cycle ${last.n}: ${last.outcome} (${last.detail})` : 'no cycle yet'],
          ['today', `${document.cyclesToday} cycles, ${document.gpuHoursToday.toFixed(3)} GPU hours`],
          ['failures in a row', String(document.consecutiveFailures)],
          ...(monitor ? monitorLines(monitor) : []),
          ['finished cycles', String(document.finishedCycles)],
          ['spec', document.specDigest],
        ],
        session.output.paint,
      );
      return { document, text };
    }),
  );

  withReason(
    defineRequest(loop, 'retrain <loop>', 'start a cycle now, or join the one that is queued', [
      'loop retrain spam-filter --reason "labels were corrected"',
      'loop retrain spam-filter --request-id ticket-4711    asking twice is asking once',
    ]),
    'asked by hand',
  ).action(
    runs<{ reason: string }, [name: string]>(async (session, { reason }, name) => {
      const goto3 = await session.goto3();
      const document = { requestId: session.requestId, ...(await goto3.loop(name).retrain(session.word(reason))) };
      return { document, text: `cycle ${document.cycle}: ${document.state} (${document.reason})` };
    }),
  );

  withReason(
    defineRequest(loop, 'pause <loop>', 'start no further cycle until `resume`; a running one goes on', [
      'loop pause spam-filter --reason "the warehouse moves tonight"',
    ]),
  ).action(
    runs<{ reason: string }, [name: string]>(async (session, { reason }, name) => {
      const goto3 = await session.goto3();
      return answered(session.requestId, await goto3.loop(name).pause(session.requestId, reason));
    }),
  );

  withReason(
    defineRequest(loop, 'resume <loop>', 'end a pause and reset the fuse', ['loop resume spam-filter']),
    'resumed by hand',
  ).action(
    runs<{ reason: string }, [name: string]>(async (session, { reason }, name) => {
      const goto3 = await session.goto3();
      return answered(session.requestId, await goto3.loop(name).resume(session.requestId, reason));
    }),
  );

  define(loop, 'delete <loop>', 'end a loop in good order, with its schedule; what it made stays in the store', [
    'loop delete spam-filter',
    'loop delete spam-filter --yes --json              for scripts',
  ])
    .option('--yes', 'do not ask')
    .action(
      runs<{ yes?: boolean }, [name: string]>(async (session, { yes }, name) => {
        if (!yes && !session.output.interactive)
          throw new InvalidArgument(`loop delete ${name}: nobody can be asked here; say --yes to mean it`);
        const goto3 = await session.goto3();
        const handle = goto3.loop(name);
        if (!yes && !(await confirmed(name)))
          return { document: { loop: name, deleted: false }, text: 'nothing was changed' };
        const done = await handle.delete({ waitMs: deleteWaitMs });
        const workflow = {
          ended: 'has ended',
          ending: `ends when its cycle has stopped; goto3 loop list shows it`,
          notRunning: 'was not running',
        }[done.workflow];
        const schedule = done.schedule ? ', its schedule is deleted' : '';
        const text = `loop ${name} ${workflow}${schedule}; goto3 apply <file> goes on from where it was`;
        return { document: { loop: name, deleted: true, ...done }, text };
      }),
    );
}

const answered = (requestId: string, answer: Answer): Result => ({
  document: { requestId, ...answer },
  text: answer.reason,
});

/** The list is the store's; Temporal adds what happens now, if it is there. */
async function serverIfThere(session: Session) {
  try {
    return { temporal: (await session.goto3()).temporal, note: null };
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'NoServer') throw error;
    return { temporal: undefined, note: error.message };
  }
}

async function confirmed(loop: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`End the loop ${loop}, with its running cycle and its schedule? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
  }
}
