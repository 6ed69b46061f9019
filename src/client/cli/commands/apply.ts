import type { Command } from 'commander';
import type { Applied, Change } from '../../apply.ts';
import { defineRequest, runs, withReason } from '../command.ts';
import type { Paint } from '../output.ts';

export function registerApply(program: Command): void {
  const command = defineRequest(program, 'apply <file>', 'make a loop what its file says; as often as you like', [
    'apply examples/spam-filter/loop.yaml',
    'apply loop.yaml --dry-run                         show the difference, change nothing',
    'apply loop.yaml --reason "a wider canary" --json',
  ]).option('--dry-run', 'show what would change, by the store alone; works while Temporal is away');
  withReason(command, 'applied by hand').action(
    runs<{ dryRun?: boolean; reason: string }, [file: string]>(async (session, { dryRun, reason }, file) => {
      const { readLoopFile } = await import('../../loop-file.ts');
      const { applyLoop, planApply } = await import('../../apply.ts');
      const content = await readLoopFile(file);
      const { paint } = session.output;
      if (dryRun) {
        const { applied: _a, newest: _n, ...plan } = await planApply(await session.store(), content, session.by);
        const effect = 'dry run: nothing was changed';
        const document = { ...plan, dryRun: true, effect };
        return { document, text: describe({ ...plan, effect }, paint) };
      }
      const applied = await applyLoop(await session.goto3(), content, { by: session.by, reason });
      return { document: { ...applied, dryRun: false }, text: describe(applied, paint) };
    }),
  );
}

function describe({ loop, outcome, changes, effect }: Applied, paint: Paint): string {
  return [...diffLines(changes, paint), `loop ${loop}: ${outcome}; ${effect}`].join('\n');
}

/** As a diff reads: what goes, then what comes. */
export function diffLines(changes: readonly Change[], paint: Paint): string[] {
  return changes.flatMap(({ field, before, after }) => [
    ...(before === undefined ? [] : [paint.red(`- ${field}: ${JSON.stringify(before)}`)]),
    ...(after === undefined ? [] : [paint.green(`+ ${field}: ${JSON.stringify(after)}`)]),
  ]);
}
