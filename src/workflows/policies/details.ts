import type { CycleStatus, EndpointStatus, LoopStatus } from '../../contracts/messages.ts';

/** Markdown for `setCurrentDetails`: what an operator sees in the Web UI without asking anybody. */
export function cycleDetails(status: CycleStatus): string {
  const rows: [string, string][] = [
    ['stage', `**${status.stage}** since ${time(status.sinceMs)}`],
    ['waits for', status.waitsFor],
    ...(status.deadlineMs ? ([['deadline', time(status.deadlineMs)]] as [string, string][]) : []),
    ...status.facts,
  ];
  return [table(['', ''], rows), ...(status.command ? ['', 'To unblock it:', '', `    ${status.command}`] : [])].join(
    '\n',
  );
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
  const command = status.paused ? ['', 'To unblock it:', '', `    goto3 loop resume ${status.loop}`] : [];
  return [table(['', ''], rows), ...command].join('\n');
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
  ];
  const command = status.frozen ? ['', 'To unblock it:', '', `    goto3 endpoint unfreeze ${status.endpoint}`] : [];
  return [table(['', ''], rows), ...command].join('\n');
}

const time = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

function table(head: [string, string], rows: [string, string][]): string {
  return [`| ${head.join(' | ')} |`, '|---|---|', ...rows.map(([k, v]) => `| ${cell(k)} | ${cell(v)} |`)].join('\n');
}

/** Text of people and programs, as one table cell and not as markup. */
const cell = (value: string): string =>
  value
    .replaceAll(/[\r\n]+/g, ' ')
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;')
    .slice(0, 500);
