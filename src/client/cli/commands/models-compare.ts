import type { Command } from 'commander';
import { define, runs } from '../command.ts';
import { sections, table } from '../output.ts';
import type { Session } from '../session.ts';
import { clock, plural, short } from '../words.ts';

interface CompareOptions {
  metric?: string;
  loop?: string;
  rows?: string;
  list: string;
  features?: boolean;
}

/** `goto3 models compare`. */
export function registerModelsCompare(models: Command): void {
  define(models, 'compare <a> <b>', 'two models on the same held-out rows: difference with interval, slices, rows', [
    'models compare spam-filter@4 spam-filter@3',
    'models compare spam-filter@4 spam-filter@1 --metric falsePositiveRate --list 50',
    'models compare spam-filter@4 sha256:5f1c… --features    prints the rows themselves',
  ])
    .option('--metric <name>', 'one metric (default: those of the gate)')
    .option('--loop <name>', 'whose hold-out, where several loops have the model')
    .option('--rows <n>', 'newest held-out rows (default: as the loop’s gate takes)')
    .option('--list <n>', 'rows to list on which they disagree', '10')
    .option('--features', 'list these rows with all they contain; otherwise ids and answers alone')
    .action(runs<CompareOptions, [a: string, b: string]>(compare));
}

async function compare(session: Session, options: CompareOptions, a: string, b: string) {
  const { compareModels } = await import('../../../models/compare.ts');
  const { loopOfModel } = await import('../../model-loop.ts');
  const { resolveModel } = await import('../../models.ts');
  const { getManifest } = await import('../../../store/manifests.ts');
  const { rowMetrics, wholeNumber } = await import('./models-options.ts');

  const store = await session.store();
  const [digestA, digestB] = [await resolveModel(store, a), await resolveModel(store, b)];
  const { model } = await getManifest(store, digestA, 'Model');
  const { loop, spec, dataset } = await loopOfModel(store, model, options.loop);
  const result = await compareModels({
    ...{ store, a: digestA, b: digestB, dataset: dataset.manifest, metrics: rowMetrics(options.metric, spec) },
    rows: options.rows === undefined ? spec.data.holdout.newest : wholeNumber('--rows', options.rows),
    list: options.list === '0' ? 0 : wholeNumber('--list', options.list),
    withFeatures: options.features === true,
    signal: new AbortController().signal,
  });

  const { paint } = session.output;
  const number = (value: number | null): string => (value === null ? '–' : signless(value));
  const flattered = Object.entries(result.trainedOn).flatMap(([which, rows]) =>
    rows === 0 ? [] : [`${which === 'a' ? a : b} was trained on ${rows ?? 'an unknown number'} of these rows`],
  );
  const text = sections(
    [
      [
        `${a} − ${b} on ${plural(result.rows, 'row')} that ${loop} holds out, ${clock(result.from)} to ${clock(result.to)}`,
        table(
          ['metric', 'slice', 'rows', short(a), short(b), 'difference', '95 % interval'],
          result.differences.map((d) => [
            d.metric,
            d.slice,
            String(d.rows),
            number(d.a),
            number(d.b),
            signed(d.difference),
            d.note ?? `[${signed(d.lower)}, ${signed(d.upper)}]`,
          ]),
          session.output,
        ),
      ],
      ['', [...flattered.map((line) => paint.yellow(line)), mcnemarWords(result.mcnemar)].filter(Boolean).join('\n')],
      [
        `They disagree on ${plural(result.disagreeing, 'row')}`,
        table(
          ['row', 'time', 'label', a, b, options.features ? 'features' : 'slices'],
          result.disagreements.map((d) => [
            d.id,
            clock(d.time),
            d.label,
            `${d.a} (${d.scoreA.toPrecision(3)})`,
            `${d.b} (${d.scoreB.toPrecision(3)})`,
            d.features ? JSON.stringify(d.features) : d.slices.join(', '),
          ]),
          session.output,
        ),
      ],
    ],
    paint,
  );
  return { document: { loop, dataset: dataset.digest, ...result }, text };
}

const signless = (value: number): string => (Math.abs(value) <= 1 ? value.toFixed(4) : value.toPrecision(5));
const signed = (value: number | null): string =>
  value === null ? '–' : `${value >= 0 ? '+' : '−'}${signless(Math.abs(value))}`;
const mcnemarWords = (p: number | null): string =>
  p === null ? '' : `equally often right: p = ${p.toPrecision(2)} (McNemar mid-p, two-sided)`;
