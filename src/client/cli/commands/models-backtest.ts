import type { Command } from 'commander';
import { InvalidArgument } from '../../errors.ts';
import { define, runs } from '../command.ts';
import { exitCodes } from '../errors.ts';
import { sections, table } from '../output.ts';
import type { Session } from '../session.ts';
import { count, plural } from '../words.ts';

interface BacktestOptions {
  by: string;
  metric?: string;
  loop?: string;
  last?: string;
  rows: string;
  svg?: string;
}

/** `goto3 models backtest`. */
export function registerModelsBacktest(models: Command): void {
  define(models, 'backtest <model>', 'every kept version scored on every period of the hold-out', [
    'models backtest spam-filter',
    'models backtest spam-filter --by week --last 20 --svg backtest.svg',
    'models backtest prices --metric rmse --json',
  ])
    .option('--by <period>', 'week or month, by the rows’ own time in UTC', 'month')
    .option('--metric <name>', 'what table and picture show (default: the gate’s first); JSON has all')
    .option('--loop <name>', 'whose hold-out, where several loops have the model')
    .option('--last <n>', 'the newest versions alone')
    .option('--rows <n>', 'newest rows of each period that are scored', '2000')
    .option('--svg <file>', 'write the matrix as a picture too')
    .action(runs<BacktestOptions, [model: string]>(runBacktest));
}

async function runBacktest(session: Session, options: BacktestOptions, model: string) {
  const { writeFile } = await import('node:fs/promises');
  const { defaultDirection } = await import('../../../contracts/verdict.ts');
  const { periodLengths } = await import('../../../models/periods.ts');
  const { backtest } = await import('../../../models/backtest.ts');
  const { matrixOf, marks, markWords, shown, standingsIn } = await import('../../../models/matrix.ts');
  const { rowMetrics, wholeNumber } = await import('./models-options.ts');
  const { loopOfModel } = await import('../../model-loop.ts');

  const by = periodLengths.find((length) => length === options.by);
  if (by === undefined) throw new InvalidArgument(`--by ${options.by}: expected ${periodLengths.join(' or ')}`);
  const last = options.last === undefined ? undefined : wholeNumber('--last', options.last);
  const rowsPerPeriod = wholeNumber('--rows', options.rows);
  const store = await session.store();
  const { loop, spec, dataset } = await loopOfModel(store, model, options.loop);
  const [metric] = rowMetrics(options.metric, spec);

  const result = await backtest({
    ...{ store, model, dataset, by, rowsPerPeriod, who: session.by },
    ...(last !== undefined && { last }),
    signal: untilInterrupted(),
    onProgress: (done, of) => session.output.note(`${done} of ${plural(of, 'version')}`),
  });
  const matrix = matrixOf(result, metric, defaultDirection[metric] === 'lower');
  if (options.svg !== undefined) {
    const { matrixSvg } = await import('../../../models/matrix-svg.ts');
    await writeFile(options.svg, matrixSvg(model, matrix));
  }

  const { paint } = session.output;
  const problems = result.versions.flatMap(({ version, problem }) =>
    problem === undefined ? [] : [`version ${version}: ${problem}`],
  );
  const gone = result.versions.filter(({ isKept }) => !isKept).map(({ version }) => version);
  const partly = result.periods.filter(({ rows, heldOut }) => rows < heldOut);
  const text = sections(
    [
      [
        `${metric} of ${model} on the hold-out of ${loop}`,
        table(
          ['version', 'trained to', ...matrix.periods],
          matrix.versions.map(({ version, values }, v) => [
            String(version),
            result.versions[v]!.trainedTo?.slice(0, 10) ?? '?',
            ...values.map((value) => (value ? shown(value) + marks[value.standing] : '–')),
          ]),
          session.output,
        ) || `the model ${model} has no approved version`,
      ],
      [
        '',
        [
          ...standingsIn(matrix).map((standing) => `${marks[standing] || ' '}  ${markWords[standing]}`),
          ...(partly.length > 0
            ? [`the newest ${rowsPerPeriod} rows of ${partly.map(({ name }) => name).join(', ')}; --rows takes more`]
            : []),
          ...(gone.length > 0 ? [`pruned, so nothing new is scored: version ${gone.join(', ')}`] : []),
          ...problems.map((problem) => paint.yellow(problem)),
          `${count(result.computed)} cells scored now, ${count(result.reused)} were there`,
        ].join('\n'),
      ],
    ],
    paint,
  );
  return {
    document: { loop, metric, ...result },
    text,
    exitCode: problems.length > 0 ? exitCodes.failed : exitCodes.ok,
  };
}

/** Ctrl-C stops the scoring processes before this one. */
function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort(new InvalidArgument('interrupted; what was scored is kept')));
  return controller.signal;
}
