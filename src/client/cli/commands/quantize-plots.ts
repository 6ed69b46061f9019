import type { QuantizeDocument } from './quantize-document.ts';
import type { Histogram } from './quantize-histogram.ts';

/** Inline SVG: no script, no address, and every number is also text. */

export interface Bar {
  readonly label: string;
  /** In dB; null: nothing was lost. */
  readonly value: number | null;
  readonly isFloat: boolean;
}

/** Signal to noise by layer, the worst first: a short bar is a bad layer. */
export function errorBars(bars: readonly Bar[], title: string): string {
  const [width, row, left, right] = [860, 19, 330, 60];
  const most = Math.max(10, ...bars.map(({ value }) => value ?? 0));
  const height = 30 + bars.length * row;
  const scale = (width - left - right) / most;
  const ticks = Array.from({ length: Math.floor(most / 10) + 1 }, (_, i) => i * 10);
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${left + tick * scale}" x2="${left + tick * scale}" y1="18" y2="${height - 8}"/><text class="quiet middle" x="${round(left + tick * scale)}" y="12">${tick} dB</text>`,
  );
  const rows = bars.map(({ label, value, isFloat }, i) => {
    const y = 22 + i * row;
    const length = Math.max(1, Math.min(most, Math.max(0, value ?? most)) * scale);
    return `<text class="end" x="${left - 8}" y="${y + 11}">${text(shortened(label, 46))}</text><rect class="${isFloat ? 'float' : 'int8'}" x="${left}" y="${y}" width="${round(length)}" height="${row - 6}"/><text class="quiet" x="${round(left + length + 6)}" y="${y + 11}">${value === null ? 'exact' : value.toFixed(1)}</text>`;
  });
  return svg(width, height, title, [...grid, ...rows].join('\n'));
}

interface Point {
  readonly name: string;
  readonly quality: number;
  readonly megabytes: number;
  readonly latencyMs: number;
  readonly isFront: boolean;
  readonly isChosen: boolean;
}

export function pointsOf({ search }: QuantizeDocument): Point[] {
  if (!search) return [];
  const point = (
    name: 'float' | number,
    { quality, sizeBytes, latencyMs }: { quality: number | null; sizeBytes: number; latencyMs: number },
  ): Point => ({
    name: name === 'float' ? 'all float' : name === 0 ? 'all int8' : `${name} layers float`,
    quality: quality ?? 0,
    megabytes: sizeBytes / 1e6,
    latencyMs,
    isFront: search.front.includes(name),
    isChosen: name === search.keptFloat,
  });
  return [point('float', search.float), ...search.trials.map((trial) => point(trial.keptFloat, trial))];
}

/** Size against quality; the latency is written at every point. Filled: on the front; with a ring: the one that was written. */
export function frontPlot(points: readonly Point[], quality: string): string {
  const [width, height, left, right, top, bottom] = [860, 330, 74, 190, 20, 46];
  const x = axis(
    points.map(({ megabytes }) => megabytes),
    left,
    width - right,
  );
  const y = axis(
    points.map((point) => point.quality),
    height - bottom,
    top,
  );
  const grid = [
    ...x.ticks.map(
      (tick) =>
        `<line class="grid" x1="${x.at(tick)}" x2="${x.at(tick)}" y1="${top}" y2="${height - bottom}"/><text class="quiet middle" x="${x.at(tick)}" y="${height - bottom + 18}">${label(tick, x.step)}</text>`,
    ),
    ...y.ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${y.at(tick)}" y2="${y.at(tick)}"/><text class="quiet end" x="${left - 8}" y="${y.at(tick) + 4}">${label(tick, y.step)}</text>`,
    ),
  ];
  const front = points.filter(({ isFront }) => isFront).sort((a, b) => a.megabytes - b.megabytes);
  const line = `<polyline class="line" points="${front.map((p) => `${x.at(p.megabytes)},${y.at(p.quality)}`).join(' ')}"/>`;
  // Labels of neighbours must not lie on one another: they keep their order and a line's distance.
  let free = top;
  const placed = [...points]
    .sort((a, b) => y.at(a.quality) - y.at(b.quality) || b.megabytes - a.megabytes)
    .map((point) => {
      const textY = Math.max(free, y.at(point.quality) + 4);
      free = textY + 15;
      return { point, textY };
    });
  const marks = placed.map(({ point, textY }) => {
    const [cx, cy] = [x.at(point.megabytes), y.at(point.quality)];
    const ring = point.isChosen ? `<circle class="ring" cx="${cx}" cy="${cy}" r="9"/>` : '';
    const labelX = width - right + 22;
    return `${ring}<line class="leader" x1="${cx}" y1="${cy}" x2="${labelX - 4}" y2="${round(textY - 4)}"/><circle class="${point.isFront ? 'int8' : 'off'}" cx="${cx}" cy="${cy}" r="5"/><text x="${labelX}" y="${round(textY)}">${point.name}, ${point.latencyMs.toFixed(2)} ms</text>`;
  });
  const names = `<text class="quiet middle" x="${(left + width - right) / 2}" y="${height - 8}">size, MB</text><text class="quiet" x="${left}" y="12">${quality}</text>`;
  return svg(
    width,
    height,
    `Size against ${quality} of every model of the search`,
    [...grid, line, ...marks, names].join('\n'),
  );
}

/** Small multiples; counts are drawn as logarithms, or an outlier of one value would not be seen. */
export function histogramPlot({ low, high, counts }: Histogram, title: string): string {
  const [width, height] = [270, 120];
  const most = Math.max(1, ...counts.map((count) => Math.log10(1 + count)));
  const bar = (width - 20) / counts.length;
  const bars = counts.map((count, i) => {
    const tall = (Math.log10(1 + count) / most) * 66;
    return count === 0
      ? ''
      : `<rect class="int8" x="${round(10 + i * bar)}" y="${round(96 - tall)}" width="${round(Math.max(0.8, bar - 0.4))}" height="${round(tall)}"/>`;
  });
  const zero = low < 0 && high > 0 ? 10 + (-low / (high - low)) * (width - 20) : undefined;
  const body = [
    `<text x="10" y="16">${text(shortened(title, 36))}</text>`,
    ...bars,
    `<line class="axis" x1="10" x2="${width - 10}" y1="96.5" y2="96.5"/>`,
    zero === undefined ? '' : `<line class="axis" x1="${round(zero)}" x2="${round(zero)}" y1="96" y2="101"/>`,
    `<text class="quiet" x="10" y="114">${low.toPrecision(3)}</text><text class="quiet end" x="${width - 10}" y="114">${high.toPrecision(3)}</text>`,
  ];
  return svg(width, height, `Histogram of ${title}`, body.join('\n'));
}

function axis(values: readonly number[], from: number, to: number) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const spread = most - least || Math.abs(most) * 0.1 || 1;
  const rough = spread / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const [low, high] = [Math.floor(least / step - 0.2) * step, Math.ceil(most / step + 0.2) * step];
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
  return { step, ticks, at: (value: number): number => round(from + ((value - low) / (high - low)) * (to - from)) };
}

const label = (value: number, step: number): string =>
  value.toFixed(Math.max(0, Math.min(8, -Math.floor(Math.log10(step)))));
const round = (x: number): number => Math.round(x * 10) / 10;

/** The end of a node's path says more than its beginning. */
const shortened = (name: string, most: number): string => (name.length <= most ? name : `…${name.slice(1 - most)}`);

export const text = (raw: string): string =>
  raw.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const svg = (width: number, height: number, title: string, body: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-label="${text(title)}">\n${body}\n</svg>`;
