import type { Command } from 'commander';
import { define, group, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { count } from '../words.ts';

export function registerVerdict(program: Command): void {
  const verdict = group(program, 'verdict', "the gate's verdicts");
  define(verdict, 'replay <cycle>', 'judge again from the stored rows and gate, and compare the bytes', [
    'verdict replay spam-filter/3',
    'verdict replay sha256:5f1c…                       a Verdict, or the report of a cycle',
    'verdict replay spam-filter/3 --json',
  ]).action(
    runs<object, [what: string]>(async (session, _options, what) => {
      const { findVerdict, replayVerdict } = await import('../../replay-verdict.ts');
      const store = await session.store();
      const document = await replayVerdict(store, await findVerdict(store, what));
      const { digest, equal, stored, recomputed, rows } = document;
      const { paint } = session.output;
      const text = equal
        ? `${paint.green('equal')}: ${stored.result}, ${stored.bounds.length} bounds from ${count(rows)} rows give the same bytes as ${digest}`
        : `${paint.red('different')}: ${digest} says ${stored.result}, its own rows and gate give ${recomputed.result}: ${recomputed.reasons[0]}`;
      return { document, text, exitCode: equal ? exitCodes.ok : exitCodes.failed };
    }),
  );
}
