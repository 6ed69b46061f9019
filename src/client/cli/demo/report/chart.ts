import type { WeekFigures } from '../../../../../examples/spam-filter/replay/week-figures.ts';
import type { Paint } from '../../output.ts';

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** Good mails wrongly blocked, week by week, as bars: the frozen model above the loop. */
export function blockedChart(
  weeks: readonly Pick<WeekFigures, 'start' | 'frozen' | 'loop'>[],
  { paint, columns }: { paint: Paint; columns: number },
): string {
  const largest = Math.max(1, ...weeks.flatMap(({ frozen, loop }) => [frozen.blocked, loop.blocked]));
  const head = 'yyyy-mm-dd frozen '.length;
  const width = Math.max(10, columns - head - ` ${largest}`.length);
  const line = (left: string, name: string, value: number, color: (text: string) => string): string =>
    `${left.padEnd(10)} ${name.padEnd(6)} ${color(bar((value / largest) * width))} ${value}`;
  return weeks
    .flatMap(({ start, frozen, loop }) => [
      line(start, 'frozen', frozen.blocked, paint.red),
      line('', 'loop', loop.blocked, paint.blue),
    ])
    .join('\n');
}

/** A bar of so many character cells, to an eighth of one. Something is never drawn as nothing. */
function bar(cells: number): string {
  const parts = cells === 0 ? 0 : Math.max(1, Math.round(cells * 8));
  return '█'.repeat(Math.floor(parts / 8)) + eighths[parts % 8]!;
}
