import type { Command } from 'commander';
import { define, runs } from '../command.ts';

export function registerStatus(program: Command): void {
  define(program, 'status', 'everything on one page: what runs, what waits, what needs a person', [
    'status',
    'status --json                                     the same for programs; parts that are missing are in .problems',
  ]).action(
    runs<{ env?: string }>(async (session, { env }) => {
      const { collectStatus } = await import('../status/collect.ts');
      const { statusText } = await import('../status/render.ts');
      const document = await collectStatus(session, env);
      return { document, text: statusText(document, session.output) };
    }),
  );
}
