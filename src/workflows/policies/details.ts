import type { CycleStatus, EndpointStatus, LoopStatus } from '../../contracts/messages.ts';

/** Markdown for `setCurrentDetails`: what an operator sees in the Web UI without asking anybody. */
export function cycleDetails(status: CycleStatus): string {
  const rows: [string, string][] = [
    ['stage', `**${status.stage}** since ${time(status.sinceMs)}`],
    ['waits for', status.waitsFor],
    ...(status.deadlineMs ? ([['deadline', time(status.deadlineMs)]] as [string, string][]) : []),
    ...status.facts,
  ];
  return page(rows, status.command);
}

export function loopDetails(status: LoopStatus): string {
  const rows: [string, string][] = [
    ['state', `**${status.state}**`],
    ['waits for', status.waitsFor],
    ['last cycle', status.last ? `${status.last.n}: ${status.last.outcome} (${status.last.detail})` : 'none yet'],
    ['queued', status.queued ? `${status.queued.reason} (by ${status.queued.by})` : '–'],
    ['today', `${status.cyclesToday} cycles, ${status.gpuHoursToday.toFixed(3)} GPU hours`],
    ['failures in a row', String(status.consecutiveFailures)],
  ];
  return page(rows, status.command);
}

export function endpointDetails(status: EndpointStatus): string {
  const version = (m: { version: number; modelName: string } | null): string =>
    m ? `${m.modelName} version ${m.version}` : '–';
  const rows: [string, string][] = [
    ['serves', version(status.current)],
    ['canary', status.candidate ? `version ${status.candidate.version} at ${status.candidate.weight} %` : '–'],
    ['rollback goes to', version(status.stable)],
    [
      'probation',
      status.probation ? `version ${status.probation.version} since ${time(status.probation.startedAtMs)}` : '–',
    ],
    ['waiting', status.queued.map((q) => `version ${q.version}`).join(', ') || '–'],
    ['shadows', status.shadows.map((s) => s.name).join(', ') || '–'],
    ['generation', String(status.generation)],
    ['frozen', status.frozen ? `by ${status.frozen.by}: ${status.frozen.reason}` : 'no'],
    ...(status.blocked ? ([['cannot go on', status.blocked.reason]] as [string, string][]) : []),
    ...(status.adopted ? ([['moved by hand', handOf(status.adopted)]] as [string, string][]) : []),
  ];
  return page(rows, status.command);
}

const handOf = ({ by, reason, atMs }: NonNullable<EndpointStatus['adopted']>): string =>
  `by ${by} at ${time(atMs)}: ${reason}`;

const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The command comes first: the Web UI shows a dozen lines and cuts the rest off. */
const page = (rows: [string, string][], command: string | null): string =>
  command === null
    ? table(rows)
    : ['To unblock it:', '', ...command.split('\n').map((line) => `    ${line}`), '', table(rows)].join('\n');

function table(rows: [string, string][]): string {
  return ['|  |  |', '|---|---|', ...rows.map(([k, v]) => `| ${cell(k)} | ${cell(v)} |`)].join('\n');
}

/** Text of people and programs, as one table cell and not as markup: `[0.96, 0.99] (champion …)` would become a link. */
const cell = (value: string): string =>
  value
    .replaceAll(/[\r\n]+/g, ' ')
    .replaceAll(/[[\]|`\\]/g, '\\$&')
    .replaceAll('<', '&lt;')
    .slice(0, 500);
