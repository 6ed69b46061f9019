import { pooled, type WeekFigures } from '../../../../../examples/spam-filter/replay/week-figures.ts';

type Figures = Pick<WeekFigures, 'start' | 'mails' | 'spam' | 'frozen' | 'loop' | 'alwaysHam'>;

const size = { width: 860, panel: 230, left: 52, right: 20, top: 74, gap: 54, bottom: 62 };
const plotWidth = size.width - size.left - size.right;

/**
 * The weeks as a picture: good mails wrongly blocked and spam missed, the frozen first model beside the loop. Readable on
 * light and dark ground, because it brings its own; each bar has its number, so colour alone carries nothing.
 */
export function weeksSvg(weeks: readonly Figures[]): string {
  const height = size.top + 2 * size.panel + size.gap + size.bottom;
  const { frozen, loop, mails } = pooled(weeks as readonly WeekFigures[]);
  const secondTop = size.top + size.panel + size.gap;
  const summary = `Of ${mails} mails the frozen model wrongly blocked ${frozen.blocked} and missed ${frozen.missed} spam; the loop wrongly blocked ${loop.blocked} and missed ${loop.missed}.`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" role="img" aria-labelledby="title summary">
<title id="title">The loop against its frozen first model, week by week</title>
<desc id="summary">${summary}</desc>
<style>
  text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2937 }
  .ground { fill: #ffffff; stroke: #d1d5db } .grid { stroke: #e5e7eb } .axis { stroke: #6b7280 }
  .frozen { fill: #d9480f } .loop { fill: #1c7ed6 } .head { font-size: 16px; font-weight: 600 } .quiet { fill: #4b5563 }
  .value { font-size: 11px; text-anchor: middle } .middle { text-anchor: middle } .end { text-anchor: end }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .ground { fill: #0d1117; stroke: #30363d } .grid { stroke: #21262d } .axis { stroke: #8b949e }
    .frozen { fill: #ff922b } .loop { fill: #4dabf7 } .quiet { fill: #9ca3af }
  }
</style>
<rect class="ground" x="0.5" y="0.5" width="${size.width - 1}" height="${height - 1}" rx="8"/>
<text class="head" x="${size.left}" y="30">Live answers, week by week: the loop against its frozen first model</text>
${legend()}
${panel(weeks, size.top, 'good mails wrongly blocked', ({ blocked }) => blocked)}
${panel(weeks, secondTop, 'spam missed', ({ missed }) => missed)}
${weeks.map((week, w) => `<text class="middle quiet" x="${center(w, weeks.length)}" y="${secondTop + size.panel + 20}">${monthAndDay(week.start)}</text>`).join('\n')}
<text class="quiet" x="${size.left}" y="${height - 14}">weeks from ${weeks[0]?.start ?? ''} on; ${mails} mails, each answered before its label was known</text>
</svg>
`;
}

function legend(): string {
  const item = (x: number, name: string, words: string): string =>
    `<rect class="${name}" x="${x}" y="42" width="11" height="11"/><text x="${x + 17}" y="52">${words}</text>`;
  return item(size.left, 'frozen', 'frozen first model') + item(size.left + 160, 'loop', 'the loop, retrained weekly');
}

function panel(
  weeks: readonly Figures[],
  top: number,
  title: string,
  count: (counts: WeekFigures['loop']) => number,
): string {
  const largest = Math.max(1, ...weeks.flatMap(({ frozen, loop }) => [count(frozen), count(loop)]));
  const step = niceStep(largest);
  const ceiling = Math.ceil(largest / step) * step;
  const bottom = top + size.panel;
  // The title and the numbers above the bars need room too.
  const scale = (size.panel - 38) / ceiling;
  const ticks = Array.from({ length: ceiling / step + 1 }, (_, i) => i * step);
  const slot = plotWidth / Math.max(1, weeks.length);
  const width = Math.min(26, slot * 0.36);
  const bar = (name: string, x: number, value: number): string =>
    `<rect class="${name}" x="${round(x)}" y="${round(bottom - value * scale)}" width="${round(width)}" height="${round(value * scale)}"/>` +
    `<text class="value" x="${round(x + width / 2)}" y="${round(bottom - value * scale - 4)}">${value}</text>`;
  return [
    `<text class="quiet" x="${size.left}" y="${top + 4}">${title}</text>`,
    ...ticks.map(
      (tick) =>
        `<line class="${tick === 0 ? 'axis' : 'grid'}" x1="${size.left}" x2="${size.width - size.right}" y1="${round(bottom - tick * scale)}" y2="${round(bottom - tick * scale)}"/>` +
        `<text class="end quiet" x="${size.left - 8}" y="${round(bottom - tick * scale + 4)}">${tick}</text>`,
    ),
    ...weeks.map(({ frozen, loop }, w) => {
      const x = center(w, weeks.length);
      return bar('frozen', x - width - 1, count(frozen)) + bar('loop', x + 1, count(loop));
    }),
  ].join('\n');
}

const center = (w: number, weeks: number): number => round(size.left + (plotWidth / weeks) * (w + 0.5));

/** 1, 2 or 5 times a power of ten, so that about four lines are drawn; counts are whole. */
function niceStep(largest: number): number {
  const rough = Math.max(1, largest / 4);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough)!;
}

const round = (x: number): number => Math.round(x * 10) / 10;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const monthAndDay = (date: string): string => `${months[Number(date.slice(5, 7)) - 1]} ${Number(date.slice(8, 10))}`;
