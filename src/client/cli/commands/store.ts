import type { Command } from 'commander';
import { formatSize, parseDuration } from '../../../contracts/units.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, group, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { facts, sections, table } from '../output.ts';
import { clock, count, plural } from '../words.ts';

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
      const { allPrunedFiles } = await import('../../../models/pruned.ts');
      const kept = await session.store();
      let notedAtMs = Date.now();
      const document = await verifyStore(kept, {
        absent: await allPrunedFiles(kept),
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

  define(
    store,
    'gc',
    'delete what no ref within retention reaches and nobody put for a week; pack and drop old captures',
    [
      'store gc --dry-run                                what would be deleted',
      'store gc',
      'store gc --keep-captures 30d                      live answers older than that are not needed',
    ],
  )
    .option('--dry-run', 'delete nothing')
    .option('--keep-captures <duration>', 'how long live answers are kept; an open probation keeps its own', '90d')
    .action(
      runs<{ dryRun?: boolean; keepCaptures: string }>(async (session, { dryRun = false, keepCaptures }) => {
        const { collectGarbage } = await import('../../../store/gc.ts');
        const { retainCaptures } = await import('../../../store/capture-retention.ts');
        const kept = await session.store();
        const captures = await retainCaptures(kept, { dryRun, retentionMs: durationOption(keepCaptures) });
        const report = await collectGarbage(kept, { dryRun });
        const { paint } = session.output;
        const dropped = dryRun ? 'would drop' : 'dropped';
        const text = sections(
          [
            [
              '',
              facts(
                [
                  ['looked at', plural(report.scanned, 'blob')],
                  ['reachable', count(report.reachable)],
                  ['kept by age', count(report.keptByAge)],
                  [
                    dryRun ? 'would delete' : 'deleted',
                    `${count(report.deleted)} (${formatSize(report.deletedBytes)})`,
                  ],
                  ['unfinished writes removed', dryRun ? undefined : count(report.leftovers)],
                ],
                paint,
              ),
            ],
            ...captures.map((c): [string, string] => [
              `Captures of ${c.endpoint}`,
              facts(
                [
                  ['kept since', `${clock(c.keptSince)}${c.keptBecause ? `: ${c.keptBecause}` : ''}`],
                  ['packed', dryRun ? undefined : plural(c.packedSegments, 'segment')],
                  [dropped, `${plural(c.droppedPacks, 'pack')} (${formatSize(c.droppedBytes)})`],
                  [`replicas ${dropped}`, c.droppedReplicas === 0 ? undefined : count(c.droppedReplicas)],
                ],
                paint,
              ),
            ]),
          ],
          paint,
        );
        return { document: { ...report, captures, dryRun }, text };
      }),
    );
}

function durationOption(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgument(`--keep-captures: ${error instanceof Error ? error.message : String(error)}`);
  }
}
