import { recallLoss } from '../../../../../examples/spam-filter/replay/recall-power.ts';
import { formatDuration } from '../../../../contracts/units.ts';
import { type Output, sections } from '../../output.ts';
import { count, plural } from '../../words.ts';
import type { CycleFigures } from '../cycle-figures.ts';
import type { Poisoning } from '../poison.ts';
import type { DemoResult } from '../result.ts';
import { blockedChart } from './chart.ts';
import { decisionsTable, timesTable, weeksTable } from './tables.ts';

/** The whole result for people. */
export function resultText(result: DemoResult, { paint, width }: Pick<Output, 'paint' | 'width'>): string {
  const look = { paint, width: undefined };
  return sections(
    [
      ['Cycles', [decisionsTable(result.cycles, look), ...heldBack(result.cycles)].join('\n')],
      ['Poison', result.poisoning ? poisonText(result.poisoning) : ''],
      ['Seconds', timesTable(result, look)],
      ['Weeks: good mails wrongly blocked, spam missed', `${weeksTable(result, look)}\n\n${notes(result)}`],
      ['Good mails wrongly blocked', blockedChart(result.weeks, { paint, columns: Math.min(100, width ?? 100) })],
      ['Problems', result.problems.join('\n')],
      ['', closing(result)],
    ],
    paint,
  );
}

/** Why a cycle shipped nothing, in the words of its report. */
const heldBack = (cycles: readonly CycleFigures[]): string[] =>
  cycles
    .filter(({ outcome }) => outcome !== 'deployed')
    .map(({ cycle, outcome, detail }) => `Cycle ${cycle}, ${outcome}: ${detail}`);

function poisonText({ cycle, swapped, heldBack, typed }: Poisoning): string {
  const swappedLabels = `All ${count(swapped)} labels that were new in cycle ${cycle} were swapped, in training and hold-out alike.`;
  return heldBack === null
    ? `${swappedLabels} Nothing held them back.`
    : `${swappedLabels}\nHeld back before training: ${heldBack}\nTyped: ${typed}`;
}

function notes({ weeks, recall, backgroundTraffic: { sent, ratePerSecond, failed } }: DemoResult): string {
  const lines = [
    'frozen: the first model, never retrained. loop: what callers got. always-ham: lets everything through, which a week',
    'with little spam makes look good on accuracy alone.',
    'Part of this drift comes from how the corpus was collected: the good mail of late September and October is mostly of',
    'a kind (news feeds) that was not collected before.',
    `Background traffic: ${plural(sent, 'request')} at ${ratePerSecond} a second while canaries ran, ${failed} failed; never judged for quality.`,
  ];
  for (const { start, spam, mailsNeeded } of recall?.tooSmall ?? [])
    lines.push(
      `Week of ${start}: ${spam} spam is too small to judge recall; to show a loss of ${100 * recallLoss} points it takes ${recall!.spamNeeded} spam${
        mailsNeeded === null ? '' : `, ${count(mailsNeeded)} mails of such a week`
      }.`,
    );
  return weeks.length === 0 ? '' : lines.join('\n');
}

const closing = ({ cycles, weeks, durationMs, stackReadyMs }: DemoResult): string =>
  `${plural(cycles.length, 'cycle')} over ${plural(weeks.length, 'week')} in ${formatDuration(durationMs)}, the start of the stack (${formatDuration(stackReadyMs)}) included.`;
