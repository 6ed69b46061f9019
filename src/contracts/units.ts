import type { MetricName } from './verdict.ts';

/**
 * Quantities as people write them, each with its unit: `10m`, `1GiB`, `2pt`, `+50%`, `300 requests`.
 * `%` is relative, `pt` is percentage points (DESIGN §7). A parser throws a `UnitError` that says what was expected.
 */
export class UnitError extends Error {
  override readonly name = 'UnitError';
}

const durationUnitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const sizeUnitsBytes: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

/** `500ms` `30s` `10m` `1h` `7d` → milliseconds; positive unless `zero` is allowed. */
export function parseDuration(text: string, { zero = false }: { zero?: boolean } = {}): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match)
    throw new UnitError(`expected a duration such as "30s", "10m", "1h" or "7d", got ${JSON.stringify(text)}`);
  const ms = Number(match[1]) * durationUnitsMs[match[2]!]!;
  if (ms === 0 && !zero) throw new UnitError(`expected a duration above zero, got ${JSON.stringify(text)}`);
  if (!Number.isSafeInteger(Math.round(ms))) throw new UnitError(`duration ${JSON.stringify(text)} is too long`);
  return Math.round(ms);
}

/** `1GiB` `512MiB` → bytes. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(B|[KMGT]i?B)$/.exec(text);
  if (!match) throw new UnitError(`expected a size such as "512MiB" or "1GiB", got ${JSON.stringify(text)}`);
  const bytes = Math.round(Number(match[1]) * sizeUnitsBytes[match[2]!]!);
  if (bytes <= 0 || !Number.isSafeInteger(bytes)) throw new UnitError(`size ${JSON.stringify(text)} is out of range`);
  return bytes;
}

/** `20%` → 0.2, between 0 and 100 %. */
export function parseShare(text: string): number {
  const match = /^(\d+(?:\.\d+)?)%$/.exec(text);
  const share = match ? Number(match[1]) / 100 : Number.NaN;
  if (!(share >= 0 && share <= 1))
    throw new UnitError(`expected a share between "0%" and "100%", got ${JSON.stringify(text)}`);
  return share;
}

/** `2pt` `0.5pt` `+1pt` `-3pt` → 0.02, 0.005, 0.01, -0.03. */
export function parsePoints(text: string): number {
  const match = /^([+-]?\d+(?:\.\d+)?)pt$/.exec(text);
  const points = match ? Number(match[1]) / 100 : Number.NaN;
  if (!(Math.abs(points) <= 1))
    throw new UnitError(`expected percentage points such as "2pt", got ${JSON.stringify(text)}`);
  return points;
}

/** `+50%` `50%` → 0.5: a relative change, which may exceed 100 %. */
export function parseRelative(text: string): number {
  const match = /^([+-]?\d+(?:\.\d+)?)%$/.exec(text);
  if (!match) throw new UnitError(`expected a relative change such as "+50%", got ${JSON.stringify(text)}`);
  return Number(match[1]) / 100;
}

/** `300 requests` → 300. */
export function parseRequests(text: string): number {
  const match = /^(\d{1,9}) requests?$/.exec(text);
  if (!match || Number(match[1]) === 0)
    throw new UnitError(`expected a number of requests such as "300 requests", got ${JSON.stringify(text)}`);
  return Number(match[1]);
}

/** 90_061_000 → `1d 1h`; two units at most, as people read them. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)}s`;
  const units: [string, number][] = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ];
  const first = units.findIndex(([, size]) => ms >= size);
  return units
    .slice(first, first + 2)
    .map(([unit, size], i) => ({ unit, count: Math.floor((i === 0 ? ms : ms % units[first]![1]) / size) }))
    .filter(({ count }) => count > 0)
    .map(({ unit, count }) => `${count}${unit}`)
    .join(' ');
}

/** 1_572_864 → `1.5 MiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[power]}`;
}

/** Metrics that are numbers between 0 and 1: their margins are percentage points. */
export const shareMetrics: readonly string[] = [
  'accuracy',
  'f1',
  'precision',
  'recall',
  'rocAuc',
  'prAuc',
  'falsePositiveRate',
  'falseNegativeRate',
  'calibrationError',
] satisfies MetricName[];
