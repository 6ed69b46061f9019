import { type Page, sections, table } from '../output.ts';
import { ago, clock, short } from '../words.ts';
import type { StatusPage } from './collect.ts';

export function statusText(page: StatusPage, output: Page): string {
  const { paint } = output;
  const { stack, temporal, loops, cycles, endpoints, attention, problems } = page;
  const health = { ok: paint.green('ok'), unhealthy: paint.yellow('unhealthy'), dead: paint.red('dead') };
  return sections(
    [
      ['Needs a person', attention.map(({ what, kind, why, command }) => needed(what, kind, why, command)).join('\n')],
      ['Wrong', problems.map((problem) => paint.red(problem)).join('\n')],
      ['Stack', stackLine(page) + childTable()],
      [
        'Workers',
        table(
          ['queue', 'workers', 'last poll', 'waiting'],
          temporal.workers.map((w) => [
            w.queue,
            w.workers === 0 ? paint.red('none') : String(w.workers),
            w.lastPollAt === null ? 'never seen' : ago(w.lastPollAt),
            String(w.waiting),
          ]),
          output,
        ),
      ],
      [
        'Loops',
        table(
          ['loop', 'state', 'cycles', 'last cycle', 'ended', 'waits for'],
          loops.map(({ name, state, cycles: opened, last, waitsFor }) => [
            name,
            state,
            String(opened),
            last ? `${last.cycle}: ${last.outcome}` : '–',
            last ? ago(last.endedAt) : '–',
            waitsFor ?? '',
          ]),
          output,
        ) || 'none was applied yet: goto3 apply <file>',
      ],
      [
        'Open cycles',
        table(
          ['cycle', 'stage', 'since', 'waits for'],
          cycles.map(({ workflowId, startedAt, stage, status }) => [
            workflowId.slice('cycle/'.length),
            status?.stage ?? stage ?? '–',
            ago(status?.sinceMs ?? startedAt),
            status?.waitsFor ?? 'it does not answer',
          ]),
          output,
        ),
      ],
      [
        'Endpoints',
        table(
          ['endpoint', 'serves', 'generation', 'replicas', 'frozen'],
          endpoints.map(({ name, desired, replicas }) => [
            name,
            desired.variants
              .map((v) => `${v.name} ${v.shadow ? 'shadow' : `${v.weight} %`} ${short(v.model)}`)
              .join(', '),
            String(desired.generation),
            replicas.map(({ replica, generation }) => `${replica}: ${generation ?? 'no answer'}`).join(', ') || 'none',
            desired.frozen ? paint.yellow(`since ${clock(desired.frozen.at)}`) : 'no',
          ]),
          output,
        ),
      ],
    ],
    paint,
  );

  function needed(what: string, kind: string, why: string, command: string | null): string {
    const commands = command === null ? [] : command.split('\n').map((line) => `    ${line}`);
    return [`${paint.yellow(what)} ${kind}: ${why}`, ...commands].join('\n');
  }

  function childTable(): string {
    const children = stack?.children ?? [];
    const rows = children.map(({ name, health: state, pid, restarts, startedAt, reason }) => [
      name,
      health[state],
      pid === undefined ? '–' : String(pid),
      String(restarts),
      ago(startedAt),
      reason ?? '',
    ]);
    return rows.length === 0 ? '' : `\n${table(['process', 'health', 'pid', 'restarts', 'started', ''], rows, output)}`;
  }
}

function stackLine({ stack, temporal, home }: StatusPage): string {
  const server = `Temporal ${temporal.reachable ? 'answers' : 'does not answer'}`;
  const ui = stack?.addresses?.temporal.uiUrl;
  const up = stack?.up
    ? `up since ${clock(stack.up.since)} (process ${stack.up.pid})`
    : `no \`goto3 up\` runs here, so nothing is restarted that dies`;
  return [`${up}; ${server}`, `state folder ${home}`, ...(ui ? [`Web UI ${ui}`] : [])].join('\n');
}
