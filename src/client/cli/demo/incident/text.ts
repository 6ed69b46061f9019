import { formatDuration } from '../../../../contracts/units.ts';
import { type Page, sections, table } from '../../output.ts';
import { count, plural } from '../../words.ts';
import type { ActFigures } from './act.ts';
import type { IncidentResult } from './result.ts';

/** The whole story for people: each incident, then all of them in a table. */
export function incidentText(result: IncidentResult, { paint }: Page): string {
  const look = { paint, width: undefined };
  return sections(
    [
      ...result.acts.map((act, i): [string, string] => [`${i + 1}  ${act.title}`, actText(act, look)]),
      ['', incidentTable(result, look)],
      ['Problems', result.problems.join('\n')],
      ['', closing(result)],
    ],
    paint,
  );
}

function actText(
  { happened, typed, secondsToContinue, requests, failedRequests }: ActFigures,
  { paint }: Page,
): string {
  const facts = happened.filter((line) => !line.startsWith('typed: '));
  const line = (name: string, text: string): string => `   ${paint.dim(name.padEnd(10))}  ${text}`;
  return [
    ...(facts.length === 0
      ? [line('happened', 'nothing')]
      : facts.map((fact, i) => line(i === 0 ? 'happened' : '', fact))),
    ...(typed.length === 0
      ? [line('typed', paint.green('nothing'))]
      : typed.map((command, i) => line(i === 0 ? 'typed' : '', paint.yellow(command)))),
    line(
      'goes on',
      secondsToContinue === null ? paint.red('nobody saw it') : `after ${secondsToContinue.toFixed(1)} s`,
    ),
    line('clients', `${plural(requests, 'request')}, ${failed(failedRequests, paint)}`),
  ].join('\n');
}

const failed = (requests: number, paint: Page['paint']): string =>
  requests === 0 ? paint.green('0 failed') : paint.red(`${requests} failed`);

function incidentTable({ acts, clients, jobs }: IncidentResult, look: Page): string {
  const typed = acts.reduce((sum, act) => sum + act.typed.length, 0);
  return table(
    ['incident', 'commands typed', 'goes on after', 'requests', 'failed', 'jobs twice'],
    [
      ...acts.map((act) => [
        act.name,
        String(act.typed.length),
        act.secondsToContinue === null ? '–' : `${act.secondsToContinue.toFixed(1)} s`,
        count(act.requests),
        String(act.failedRequests),
        '',
      ]),
      ['all, start to end', String(typed), '–', count(clients.sent), String(clients.failed), String(jobs.twice.length)],
    ],
    look,
  );
}

function closing({ cycles, jobs, durationMs, stackReadyMs, clients }: IncidentResult): string {
  const ends = cycles.map(({ cycle, outcome, version }) =>
    version === null || outcome !== 'deployed' ? `${cycle} ${outcome}` : `${cycle} ${outcome} (version ${version})`,
  );
  return [
    `Cycles: ${ends.join(', ')}. ${plural(jobs.done, 'fine-tune')}, ${jobs.twice.length === 0 ? 'none' : jobs.twice.length} twice.`,
    `Clients asked ${clients.ratePerSecond} times a second all along; ${formatDuration(durationMs)} in all, the start of the stack (${formatDuration(stackReadyMs)}) included.`,
  ].join('\n');
}
