import { formatDuration } from '../../../contracts/units.ts';
import type { Paint } from '../output.ts';
import type { Step } from './steps.ts';

const timeWidth = 7;

/** The view as lines: a line for each step, the newest that fit. Nothing is wider than `columns`. */
export function frame(
  steps: readonly Step[],
  nowMs: number,
  { columns, rows, paint }: { columns: number; rows: number; paint: Paint },
): string[] {
  const shown = steps.slice(-Math.max(1, rows));
  const titleWidth = Math.max(0, ...shown.map(({ title }) => title.length));
  return shown.map((step) => {
    const { title, ended } = step;
    const took = formatDuration((ended?.atMs ?? nowMs) - step.startedAtMs).padStart(timeWidth);
    const text = ended?.result ?? doing(step, nowMs);
    // One column stays free: some terminals wrap a line that fills the last one.
    const line = cut(` ${took}  ${title.padEnd(titleWidth)}  ${text}`, columns - 2);
    return ended ? `${paint.green('✓')}${line}` : `${paint.yellow('▸')}${paint.bold(line)}`;
  });
}

/** `cycle 3: train for 2.1s, waits for the fine-tune on 4,000 rows` */
function doing({ now }: Step, nowMs: number): string {
  return now ? `${now.what} for ${formatDuration(nowMs - now.sinceMs)}, waits for ${now.waitsFor}` : 'begins';
}

function cut(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}
