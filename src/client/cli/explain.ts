import type { Digest } from '../../contracts/digest.ts';
import type { CycleReport, Deployment, VerdictManifest } from '../../contracts/manifests.ts';
import { formatDuration } from '../../contracts/units.ts';
import type { BoundResult } from '../../contracts/verdict.ts';
import { type LineageGap, type LineageNode, lineage } from '../../store/lineage.ts';
import { getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { findReport, parseCycleId } from '../cycle-reports.ts';
import { NotFoundError } from '../errors.ts';
import { phasesOf } from './cycle-facts.ts';
import { lineageLines } from './lineage-lines.ts';
import { facts, type Page, type Paint, sections, table } from './output.ts';
import { clock, count, percent, plural } from './words.ts';

export interface Explanation {
  digest: Digest;
  report: CycleReport;
  verdict: VerdictManifest | null;
  deployment: Deployment | null;
  lineage: (LineageNode | LineageGap)[];
}

/** Why a cycle ended as it did: all from the store, so it outlives Temporal's memory. */
export async function explainCycle(store: Store, id: string): Promise<Explanation> {
  const { loop, n } = parseCycleId(id);
  const stored = await findReport(store, loop, n);
  if (!stored)
    throw new NotFoundError(
      `cycle ${loop}/${n} has no report: it is running (goto3 cycle show ${loop}/${n}), or it never was`,
    );
  const { digest, report } = stored;
  const nodes: (LineageNode | LineageGap)[] = [];
  for await (const node of lineage(store, digest)) nodes.push(node);
  return {
    digest,
    report,
    verdict: report.verdict ? await getManifest(store, report.verdict, 'Verdict') : null,
    deployment: report.deployment ? await getManifest(store, report.deployment, 'Deployment') : null,
    lineage: nodes,
  };
}

export function explanationText({ report, verdict, deployment, lineage: nodes }: Explanation, output: Page): string {
  const { paint } = output;
  return sections(
    [
      ['', reportText(report, output)],
      ['Verdict', verdict ? verdictText(verdict, output) : ''],
      ['Rollout', deployment ? deploymentText(deployment, output) : ''],
      ['Lineage', lineageLines(nodes, paint)],
    ],
    paint,
  );
}

export function reportText(report: CycleReport, output: Page): string {
  const { paint } = output;
  const { startedAt, endedAt, rowCount, newRows, metrics, championMetrics } = report;
  const phases = Object.entries(phasesOf(report) ?? {});
  return sections(
    [
      [
        '',
        facts(
          [
            ['cycle', `${report.loop}/${report.cycle}`],
            ['outcome', `${outcomeColour(report.outcome, paint)(report.outcome)}: ${report.detail}`],
            ['failure', report.failureClass],
            ['reason', report.reason],
            ['time', `${clock(startedAt)}, ${formatDuration(Date.parse(endedAt) - Date.parse(startedAt))}`],
            ['rows', rowCount === undefined ? undefined : `${count(rowCount)}, ${count(newRows ?? 0)} new`],
            ['version', report.version === undefined ? undefined : String(report.version)],
            ['approved by', report.approvedBy],
            ['precision', report.precision],
            ['GPU hours', report.gpuHours.toFixed(3)],
          ],
          paint,
        ),
      ],
      [
        'Metrics on the hold-out, with 95 % intervals',
        table(
          ['metric', 'candidate', 'champion', 'rows'],
          Object.entries(metrics ?? {}).map(([name, ours]) => [
            name,
            interval(ours),
            interval(championMetrics?.[name]),
            count(ours.rows),
          ]),
          output,
        ),
      ],
      [
        'Where the time went',
        table(
          ['phase', 'ms', 'share'],
          phases.map(([name, { ms, share }]) => [name, count(ms), percent(share)]),
          output,
        ),
      ],
    ],
    paint,
  );
}

function verdictText({ verdict }: VerdictManifest, output: Page): string {
  const { result, bounds, reasons, rows, rowsNeeded } = verdict;
  const { paint } = output;
  const colour = { pass: paint.green, fail: paint.red, inconclusive: paint.yellow }[result];
  const needed = rowsNeeded === null ? '' : `; about ${count(rowsNeeded)} rows would decide`;
  return [
    `${colour(result)} on ${plural(rows, 'row')}${needed}`,
    table(
      ['metric', 'slice', 'against', 'estimate', '95 % bounds', 'limit', 'rows', 'result'],
      bounds.map((bound) => [
        bound.metric,
        bound.slice,
        bound.against,
        number(bound.metric, bound.estimate),
        bound.lower === null || bound.upper === null
          ? '–'
          : `[${number(bound.metric, bound.lower)}, ${number(bound.metric, bound.upper)}]`,
        `${sign(bound)} ${number(bound.metric, bound.limit)}`,
        count(bound.rows),
        bound.result === 'tooSmall' ? 'too small' : bound.result,
      ]),
      output,
    ),
    ...reasons.map((reason) => `- ${reason}`),
  ].join('\n');
}

function deploymentText({ endpoint, outcome, reason, steps }: Deployment, output: Page): string {
  return [
    `${outcome} on ${endpoint}: ${reason}`,
    table(
      ['weight', 'candidate requests', 'errors', 'champion requests', 'errors', 'background', 'took', 'decision'],
      steps.map((step) => [
        `${step.weight} %`,
        count(step.candidateRequests),
        count(step.candidateErrors),
        count(step.stableRequests),
        count(step.stableErrors),
        percent(step.backgroundShare),
        formatDuration(Date.parse(step.endedAt) - Date.parse(step.startedAt)),
        step.decision,
      ]),
      output,
    ),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

const outcomeColour = (outcome: CycleReport['outcome'], paint: Paint) =>
  outcome === 'deployed' || outcome === 'approved'
    ? paint.green
    : outcome === 'failed' || outcome === 'rolledBack'
      ? paint.red
      : paint.yellow;

function interval(metric: { value: number | null; lower: number | null; upper: number | null } | undefined): string {
  if (!metric) return '–';
  if (metric.value === null) return 'not defined';
  const [low, high] = [metric.lower?.toFixed(4) ?? '–', metric.upper?.toFixed(4) ?? '–'];
  return `${metric.value.toFixed(4)} [${low}, ${high}]`;
}

/** A difference is signed so that positive is better: the loss must stay above the (negative) limit. */
const sign = ({ against }: BoundResult): string => (against === 'ceiling' ? '≤' : against === 'floor' ? '≥' : '>');

function number(metric: string, x: number | null): string {
  if (x === null) return '–';
  return metric.startsWith('latency') || metric === 'sizeBytes' ? Number(x.toPrecision(4)).toString() : x.toFixed(4);
}
