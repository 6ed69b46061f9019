import type { Command } from 'commander';
import { workflowIds } from '../../../contracts/names.ts';
import { define, defineRequest, group, runs, withReason } from '../command.ts';
import { table } from '../output.ts';
import { clock } from '../words.ts';

export function registerSchedule(program: Command): void {
  const schedule = group(program, 'schedule', 'the clocks that ask loops to retrain; `apply` makes them');

  define(schedule, 'list', 'schedules of all loops, with their next times', [
    'schedule list',
    'schedule list --json',
  ]).action(
    runs(async (session) => {
      const { appliedLoop } = await import('../../apply.ts');
      const { temporal, store } = await session.goto3();
      const prefix = workflowIds.kick('');
      const schedules: { loop: string; cron: string | null; paused: boolean; note: string; next: string[] }[] = [];
      for await (const { scheduleId, state, info } of temporal.schedule.list()) {
        if (!scheduleId.startsWith(prefix)) continue;
        const loop = scheduleId.slice(prefix.length);
        // The server keeps the calendar that it made of it; the words are in the loop's file.
        const asked = (await appliedLoop(store, loop))?.spec.triggers.schedule;
        schedules.push({
          loop,
          cron: asked ? `${asked.cron} ${asked.timezone}` : null,
          paused: state.paused,
          note: state.note ?? '',
          next: info.nextActionTimes.map((time) => time.toISOString()),
        });
      }
      const text =
        table(
          ['loop', 'cron', 'state', 'next', 'note'],
          schedules.map(({ loop, cron, paused, note, next }) => [
            loop,
            cron ?? '–',
            paused ? session.output.paint.yellow('paused') : 'active',
            next[0] ? clock(next[0]) : '–',
            note,
          ]),
          session.output,
        ) || 'no loop has a schedule';
      return { document: { schedules }, text };
    }),
  );

  const act = (
    name: 'pause' | 'unpause' | 'trigger',
    description: string,
    examples: readonly string[],
    done: string,
  ): void => {
    withReason(defineRequest(schedule, `${name} <loop>`, description, examples), `${name} by hand`).action(
      runs<{ reason: string }, [loop: string]>(async (session, { reason }, loop) => {
        const { withSchedule } = await import('../../schedule.ts');
        const { temporal } = await session.goto3();
        const note = `${session.by}: ${reason}`;
        await withSchedule(temporal, loop, (handle) => (name === 'trigger' ? handle.trigger() : handle[name](note)));
        return { document: { loop, done, note }, text: `schedule of ${loop}: ${done}` };
      }),
    );
  };
  act(
    'pause',
    'ask for no cycle until `unpause`',
    ['schedule pause spam-filter --reason "data centre move"'],
    'paused',
  );
  act('unpause', 'let the clock ask again', ['schedule unpause spam-filter'], 'active');
  act('trigger', 'ask now, as the clock would', ['schedule trigger spam-filter'], 'triggered');
}
