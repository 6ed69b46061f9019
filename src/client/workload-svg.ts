import { formatDuration } from '../contracts/units.ts';
import { byLevel, type PlannedJob, type WorkloadPlan } from './workload-plan.ts';

const box = { width: 190, height: 46 };
const gap = { x: 70, y: 16 };
const margin = 20;
/** Boxes of one column; a wider level ends in one box that counts the rest. */
const shown = 60;

interface Box {
  x: number;
  y: number;
  title: string;
  detail: string;
  names: string[];
}

/** The DAG as an SVG document: a column for each level, a line for each need (dashed: `finished`). Pure. */
export function workloadSvg({ jobs, workload }: Pick<WorkloadPlan, 'jobs' | 'workload'>): string {
  const boxes = layOut(jobs);
  const at = new Map(boxes.flatMap((one) => one.names.map((name) => [name, one] as const)));
  const lines = new Set<string>();
  for (const job of jobs)
    for (const [other, how] of Object.entries(job.needs)) lines.add(line(at.get(other)!, at.get(job.job)!, how));
  const width = Math.max(...boxes.map(({ x }) => x)) + box.width + margin;
  const height = Math.max(...boxes.map(({ y }) => y)) + box.height + margin;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">`,
    `<title>${escaped(workload)}</title>`,
    '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>',
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...lines,
    ...boxes.map(drawn),
    '</svg>',
    '',
  ].join('\n');
}

function layOut(jobs: readonly PlannedJob[]): Box[] {
  const columns = byLevel(jobs);
  return columns.flatMap((column, level) => {
    const fits = column.length <= shown ? column : column.slice(0, shown - 1);
    const rest = column.slice(fits.length);
    const entries = fits.map((job) => ({ title: job.job, detail: detailOf(job), names: [job.job] }));
    if (rest.length > 0)
      entries.push({ title: `… ${rest.length} more`, detail: '', names: rest.map(({ job }) => job) });
    return entries.map((entry, i) => ({
      ...entry,
      x: margin + level * (box.width + gap.x),
      y: margin + i * (box.height + gap.y),
    }));
  });
}

const detailOf = ({ array, nodes, processes, timeLimitMs }: PlannedJob): string =>
  [
    array && `[${array.tasks}%${array.atOnce}]`,
    (nodes > 1 || processes > 1) && `${nodes}×${Math.ceil(processes / nodes)}`,
    `≤ ${formatDuration(timeLimitMs)}`,
  ]
    .filter(Boolean)
    .join(' ');

function line(from: Box, to: Box, how: string): string {
  const [x1, y1, x2, y2] = [from.x + box.width, from.y + box.height / 2, to.x, to.y + box.height / 2];
  const middle = (x1 + x2) / 2;
  const dash = how === 'finished' ? ' stroke-dasharray="5 4"' : '';
  return `<path d="M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}" fill="none" stroke="#556"${dash} marker-end="url(#end)"/>`;
}

const drawn = ({ x, y, title, detail }: Box): string =>
  [
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="6" fill="#eef3fb" stroke="#557"/>`,
    `<text x="${x + 10}" y="${y + 19}" fill="#112">${escaped(title.length > 24 ? `${title.slice(0, 23)}…` : title)}</text>`,
    `<text x="${x + 10}" y="${y + 36}" fill="#445" font-size="11">${escaped(detail.length > 32 ? `${detail.slice(0, 31)}…` : detail)}</text>`,
  ].join('');

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
