import type { Command } from 'commander';
import { formatSize } from '../../../contracts/units.ts';
import { define, group, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { facts, table } from '../output.ts';
import { count, plural } from '../words.ts';

/** A note about progress at most so often. */
const noteEveryMs = 2_000;

export function registerStore(program: Command): void {
  const store = group(program, 'store', 'artifacts, manifests and refs');

  define(store, 'verify', 'read everything and compare it with its digests; repairs nothing', [
    'store verify',
    'store verify --json',
  ]).action(
    runs(async (session) => {
      const { verifyStore } = await import('../../../store/verify.ts');
      let notedAtMs = Date.now();
      const document = await verifyStore(await session.store(), {
        onProgress: ({ blobs, bytes }) => {
          if (Date.now() - notedAtMs < noteEveryMs) return;
          notedAtMs = Date.now();
          session.output.note(`${count(blobs)} blobs, ${formatSize(bytes)} …`);
        },
      });
      const { blobs, bytes, refs, problems } = document;
      const looked = `${plural(blobs, 'blob')} (${formatSize(bytes)}) and ${plural(refs, 'ref')}`;
      const { paint } = session.output;
      const text =
        problems.length === 0
          ? `${paint.green('sound')}: ${looked}`
          : [
              table(
                ['problem', 'where', 'detail'],
                problems.map(({ what, where, detail }) => [what, where, detail]),
                session.output,
              ),
              '',
              `${paint.red(plural(problems.length, 'problem'))} in ${looked}`,
            ].join('\n');
      return { document, text, exitCode: problems.length === 0 ? exitCodes.ok : exitCodes.failed };
    }),
  );

  define(store, 'gc', 'delete what no ref within retention reaches and nobody put for a week', [
    'store gc --dry-run                                what would be deleted',
    'store gc',
  ])
    .option('--dry-run', 'delete nothing')
    .action(
      runs<{ dryRun?: boolean }>(async (session, { dryRun = false }) => {
        const { collectGarbage } = await import('../../../store/gc.ts');
        const report = await collectGarbage(await session.store(), { dryRun });
        const text = facts(
          [
            ['looked at', plural(report.scanned, 'blob')],
            ['reachable', count(report.reachable)],
            ['kept by age', count(report.keptByAge)],
            [dryRun ? 'would delete' : 'deleted', `${count(report.deleted)} (${formatSize(report.deletedBytes)})`],
            ['unfinished writes removed', dryRun ? undefined : count(report.leftovers)],
          ],
          session.output.paint,
        );
        return { document: { ...report, dryRun }, text };
      }),
    );
}
