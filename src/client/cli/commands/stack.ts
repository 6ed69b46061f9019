import type { Command } from 'commander';
import { define, runs } from '../command.ts';
import { facts, type Paint } from '../output.ts';
import type { Session } from '../session.ts';

/** A cold start on two busy cores takes 10 to 20 s; what is not there after this is named, and waited for further on. */
const readyWithinMs = 120_000;

interface UpOptions {
  endpoint: string[];
  fsync?: boolean;
  fresh?: boolean;
}

export function registerStack(program: Command): void {
  define(program, 'up', 'start Temporal, the four workers and the endpoints; Ctrl-C stops them in good order', [
    'up                                                the endpoints of all applied loops and of earlier ups',
    'up --endpoint mail                                one more endpoint',
    'up --fsync                                        what is acknowledged survives a power cut too',
    'up --fresh                                        an empty Temporal database; loops go on from the store',
  ])
    .option('--endpoint <name>', 'serve this endpoint too; may be repeated', collect, [])
    .option('--fsync', 'the Temporal database survives a power cut, not only kill -9; slower')
    .option('--fresh', 'move the Temporal database aside and start with an empty one')
    .action(runs<UpOptions>(up));

  define(program, 'down', 'stop what `up` started here, also what a killed one left', ['down', 'down --json']).action(
    runs(async ({ environment, output }) => {
      const { bringDown } = await import('../../../stack/stack.ts');
      const { stateLayout } = await import('../../../stack/layout.ts');
      const { eventLine } = await import('../event-lines.ts');
      const stopped: string[] = [];
      const up = await bringDown(stateLayout(environment.home), {
        onEvent: (event) => {
          if (event.kind === 'stopped') stopped.push(event.name);
          output.note(eventLine(event));
        },
      });
      const text =
        up !== undefined
          ? `stopped, with the \`up\` that supervised it (process ${up})`
          : stopped.length > 0
            ? `stopped ${stopped.join(', ')}`
            : 'nothing was running';
      return { document: { up: up ?? null, stopped }, text };
    }),
  );
}

async function up(session: Session, options: UpOptions): Promise<undefined> {
  const { environment, output } = session;
  const { bringUp } = await import('../../../stack/stack.ts');
  const { stopOnSignals } = await import('../../../stack/signals.ts');
  const { eventLine } = await import('../event-lines.ts');
  const { endpointsToServe } = await import('../endpoints-to-serve.ts');
  const stack = await bringUp({
    environment,
    endpoints: await endpointsToServe(environment, await session.store(), options.endpoint),
    fsync: options.fsync ?? false,
    fresh: options.fresh ?? false,
    log: (line) => output.note(line),
    onEvent: (event) => output.note(eventLine(event)),
  });
  const stopListening = stopOnSignals(stack);
  let stopped = false;
  const end = stack.stopped.then(() => {
    stopped = true;
  });
  await stack.ready(readyWithinMs).catch((error: Error) => {
    // It is supervised all the same: a laggard may still come.
    if (!stopped) output.note(error.message);
  });
  if (!stopped) {
    const { temporal, endpoints, storeUrl } = stack.addresses;
    output.result({
      document: { up: process.pid, ...stack.addresses },
      text: describe({ temporal, endpoints, storeUrl, home: environment.home }, output.paint),
    });
  }
  await end;
  stopListening();
}

function describe(
  {
    temporal,
    endpoints,
    storeUrl,
    home,
  }: {
    temporal: { address: string; namespace: string; uiUrl?: string | undefined };
    endpoints: Record<string, string>;
    storeUrl: string;
    home: string;
  },
  paint: Paint,
): string {
  return facts(
    [
      ['Web UI', temporal.uiUrl && paint.cyan(temporal.uiUrl)],
      ['Temporal', `${temporal.address}, namespace ${temporal.namespace}`],
      ...Object.entries(endpoints).map(([name, url]) => [`endpoint ${name}`, paint.cyan(url)] as const),
      ['store', storeUrl],
      ['state', home],
      ['', 'Ctrl-C stops it in good order; goto3 status shows it from another terminal'],
    ],
    paint,
  );
}

const collect = (value: string, all: string[]): string[] => [...all, value];
