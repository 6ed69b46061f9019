import type { Command } from 'commander';
import { formatSize, parseDuration } from '../../../contracts/units.ts';
import { InvalidArgument } from '../../errors.ts';
import { define, runs, withReason } from '../command.ts';
import { sections, table } from '../output.ts';
import type { Session } from '../session.ts';
import { clock, count, plural, short } from '../words.ts';

interface PruneOptions {
  keep: string;
  youngerThan: string;
  monthly?: boolean;
  dryRun?: boolean;
  by?: string;
  reason: string;
}

/** `goto3 models prune`. */
export function registerModelsPrune(models: Command): void {
  withReason(
    define(
      models,
      'prune <model>',
      'delete the files of old versions and candidates; never lineage, nor what is in use',
      [
        'models prune spam-filter --dry-run                 what would go, why the rest stays, how many bytes',
        'models prune spam-filter --keep 10 --monthly',
      ],
    )
      .option('--keep <n>', 'so many of the newest versions', '5')
      .option('--younger-than <duration>', 'versions and candidates of this time', '30d')
      .option('--monthly', 'the newest version of each month too')
      .option('--dry-run', 'delete nothing')
      .option('--by <name>', 'who asks, for the record (default: account@host)'),
    'asked by hand',
  ).action(runs<PruneOptions, [model: string]>(pruneModel));
}

async function pruneModel(session: Session, options: PruneOptions, model: string) {
  const { planPruning, prune } = await import('../../../models/prune.ts');
  const { wholeNumber } = await import('./models-options.ts');
  const { modelVersion } = await import('../../models.ts');
  const rules = {
    newest: options.keep === '0' ? 0 : wholeNumber('--keep', options.keep),
    youngerThanMs: youngerThan(options.youngerThan),
    monthly: options.monthly === true,
  };
  const store = await session.store();
  // A model of another name, or none at all, is said at once.
  await modelVersion(store, model);
  const dryRun = options.dryRun === true;
  const done = dryRun
    ? { plan: await planPruning(store, model, rules), deletedFiles: 0, deletedBytes: 0 }
    : await prune(store, model, rules, { by: session.by, reason: options.reason });
  const { plan, deletedFiles, deletedBytes } = done;
  const wouldBytes = plan.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const text = sections(
    [
      [
        '',
        table(
          ['version', 'digest', 'since', 'kept because', 'goes'],
          plan.models.map(({ version, digest, at, keptBecause, bytes }) => [
            version === null ? 'candidate' : String(version),
            short(digest),
            clock(at),
            keptBecause.join('; ') || (bytes > 0 ? '–' : 'its files are gone already, or shared'),
            keptBecause.length === 0 && bytes > 0 ? formatSize(bytes) : '–',
          ]),
          session.output,
        ),
      ],
      [
        '',
        dryRun
          ? `would delete ${plural(plan.files.length, 'file')}, ${formatSize(wouldBytes)} (${count(wouldBytes)} bytes)`
          : `deleted ${plural(deletedFiles, 'file')}, ${formatSize(deletedBytes)} (${count(deletedBytes)} bytes); manifests and lineage stay`,
      ],
    ],
    session.output.paint,
  );
  return { document: { model, dryRun, models: plan.models, files: plan.files, deletedFiles, deletedBytes }, text };
}

function youngerThan(text: string): number {
  try {
    return parseDuration(text, { zero: true });
  } catch (error) {
    throw new InvalidArgument(`--younger-than: ${error instanceof Error ? error.message : String(error)}`);
  }
}
