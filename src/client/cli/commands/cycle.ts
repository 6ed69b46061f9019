import type { Command } from 'commander';
import { formatDuration } from '../../../contracts/units.ts';
import { define, group, runs } from '../command.ts';
import type { CycleView } from '../cycle-facts.ts';
import { facts, type Output, type Result, sections, table } from '../output.ts';
import { clock, count } from '../words.ts';
import { registerCycleWords } from './cycle-words.ts';

export function registerCycle(program: Command): void {
  const cycle = group(program, 'cycle', 'cycles: what they did, what they wait for, and why they ended so');

  define(cycle, 'list <loop>', 'every cycle with its outcome, verdict, metrics and where its time went', [
    'cycle list spam-filter                            from the store: works while Temporal is away',
    'cycle list spam-filter --json',
  ]).action(
    runs<object, [loop: string]>(async (session, _options, loop) => {
      const { listCycles } = await import('../cycle-facts.ts');
      const document = await listCycles(await session.store(), loop);
      return { document, text: listText(document, session.output) };
    }),
  );

  define(cycle, 'show <id>', 'where a cycle stands and what unblocks it; or its report', [
    'cycle show spam-filter/3',
    'cycle show spam-filter/3 --json',
  ]).action(
    runs<object, [id: string]>(async (session, _options, id) => {
      const { findReport, parseCycleId } = await import('../../cycle-reports.ts');
      const { loop, n } = parseCycleId(id);
      const stored = await findReport(await session.store(), loop, n);
      if (stored) {
        const { reportText } = await import('../explain.ts');
        return { document: { report: stored.report }, text: reportText(stored.report, session.output) };
      }
      const goto3 = await session.goto3();
      const status = await goto3.cycle(id).status();
      const { paint } = session.output;
      const text = sections(
        [
          [
            '',
            facts(
              [
                ['cycle', `${loop}/${n}`],
                ['stage', `${paint.bold(status.stage)} since ${clock(status.sinceMs)}`],
                ['waits for', status.waitsFor],
                ['deadline', status.deadlineMs === null ? undefined : clock(status.deadlineMs)],
                ...status.facts.map(([name, value]) => [name, value.replaceAll('**', '')] as const),
              ],
              paint,
            ),
          ],
          ['To unblock it', status.command ?? ''],
        ],
        paint,
      );
      return { document: { status }, text };
    }),
  );

  define(cycle, 'explain <id>', "the verdict's bounds with reasons, the rollout's evidence, and the lineage", [
    'cycle explain spam-filter/3                       from the store: works while Temporal is away',
    'cycle explain spam-filter/3 --json',
  ]).action(
    runs<object, [id: string]>(async (session, _options, id) => {
      const { explainCycle, explanationText } = await import('../explain.ts');
      const document = await explainCycle(await session.store(), id);
      return { document, text: explanationText(document, session.output) };
    }),
  );

  define(cycle, 'logs <id>', 'what its newest fine-tune prints', [
    'cycle logs spam-filter/3',
    'cycle logs spam-filter/3 -f                       follow it to its end',
  ])
    .option('-f, --follow', 'go on until the job ends')
    .action(
      runs<{ follow?: boolean }, [id: string]>(async (session, { follow = false }, id): Promise<Result> => {
        const { parseCycleId } = await import('../../cycle-reports.ts');
        const { printLogs } = await import('../job-logs.ts');
        const { loop, n } = parseCycleId(id);
        return await printLogs(session, `${loop}/${n}/train`, { follow });
      }),
    );

  registerCycleWords(cycle);
}

function listText({ loop, cycles, metrics }: { loop: string; cycles: CycleView[]; metrics: string[] }, output: Output) {
  if (cycles.length === 0) return `no cycle of the loop ${loop} was opened yet`;
  const phase = (view: CycleView, name: string): string => {
    const part = view.phases?.[name];
    return part ? `${formatDuration(part.ms)} ${(100 * part.share).toFixed(0)}%` : '–';
  };
  return table(
    [
      ...['cycle', 'outcome', 'version', 'rows', 'new', 'verdict'],
      ...metrics.map((metric) => `${metric} (champion)`),
      ...['training', 'evaluation', 'rollout', 'orchestration', 'ended'],
    ],
    cycles.map((view) => {
      const { report } = view;
      return [
        String(view.cycle),
        report?.outcome ?? 'open',
        report?.version === undefined ? '–' : String(report.version),
        report?.rowCount === undefined ? '–' : count(report.rowCount),
        report?.newRows === undefined ? '–' : count(report.newRows),
        report?.verdictResult ?? '–',
        ...metrics.map((metric) => against(report?.metrics?.[metric], report?.championMetrics?.[metric])),
        ...['training', 'evaluation', 'rollout', 'orchestration'].map((name) => phase(view, name)),
        report ? clock(report.endedAt) : '',
      ];
    }),
    output,
  );
}

type Metric = { value: number | null; lower: number | null; upper: number | null };

/** `0.987 [0.981, 0.992] (0.985)` */
function against(ours: Metric | undefined, champions: Metric | undefined): string {
  if (!ours || ours.value === null) return '–';
  const interval = ours.lower === null || ours.upper === null ? '' : ` [${fixed(ours.lower)}, ${fixed(ours.upper)}]`;
  const theirs = champions?.value === undefined || champions.value === null ? '–' : fixed(champions.value);
  return `${fixed(ours.value)}${interval} (${theirs})`;
}

const fixed = (x: number): string => x.toFixed(3);
