import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readMails } from '../../../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../../../examples/spam-filter/environment.ts';
import type { MailRow } from '../../../../examples/spam-filter/mail.ts';
import type { Environment } from '../../../stack/environment.ts';
import { bringUp, type Stack } from '../../../stack/stack.ts';
import { connect, type Goto3 } from '../../connect.ts';
import { eventLine } from '../event-lines.ts';
import type { Session } from '../session.ts';
import { type DemoHome, endJobs, freshHome } from './home.ts';
import { Interrupt } from './interrupt.ts';
import { createProgress, type Progress } from './progress.ts';

/** The endpoint that `examples/spam-filter/loop.yaml` names. */
export const endpoint = 'mail';
/** A cold start on two busy cores takes 10 to 20 s. */
const readyWithinMs = 180_000;
/** As shells count an end by SIGINT. */
const interruptedExitCode = 130;

/** What a demo plays on: an own stack that is up, the mails, and the view. */
export interface Stage {
  startedAt: Date;
  stackReadyMs: number;
  home: DemoHome;
  stack: Stack;
  goto3: Goto3;
  endpointUrl: string;
  mails: readonly MailRow[];
  interrupt: Interrupt;
  progress: Progress;
}

/** Brings an own stack up in an emptied folder, plays, and stops everything again. @returns the exit code */
export async function onStage(
  { environment, output, by }: Session,
  folder: string | undefined,
  play: (stage: Stage) => Promise<number>,
): Promise<number> {
  const startedAt = new Date();
  const home = await freshHome(resolve(folder ?? join(environment.home, 'demo')));
  const interrupt = new Interrupt();
  const live = process.stderr.isTTY === true && !environment.ci;
  const progress = createProgress({ stream: process.stderr, live, paint: output.paint });
  let stack: Stack | undefined;
  try {
    const mails = readMails(mailEnvironment().cacheFolder);
    mails.catch(() => undefined);
    progress.begin('stack');
    stack = await bringUpStack(environment, home, progress);
    interrupt.onSecond = () => void stack?.stop();
    await interrupt.orDone(stack.ready(readyWithinMs));
    const stackReadyMs = Date.now() - startedAt.getTime();
    progress.end(whereItIs(stack));

    const goto3 = await connect({ environment: ownEnvironment(environment, home), by });
    try {
      const endpointUrl = stack.addresses.endpoints[endpoint]!;
      const props = { mails: await interrupt.orDone(mails), interrupt, progress };
      return await play({ startedAt, stackReadyMs, home, stack, goto3, endpointUrl, ...props });
    } finally {
      await goto3.close();
    }
  } catch (error) {
    // What was under way then may fail in any way.
    if (!interrupt.signal.aborted) throw error;
    progress.close();
    output.note('Interrupted.');
    return interruptedExitCode;
  } finally {
    progress.close();
    if (stack) {
      output.note('Stopping the endpoint, the workers and Temporal …');
      await stack.stop();
      await endJobs(home.layout.jobs);
      output.note(`Everything is stopped. Bring it back with: GOTO3_HOME=${shown(home.layout.home)} ./bin/goto3 up`);
    }
    interrupt.stopListening();
    home.release();
  }
}

/** The demo has a server and a store of its own, whatever the surroundings say. */
const ownEnvironment = (environment: Environment, { layout }: DemoHome): Environment => ({
  ...environment,
  home: layout.home,
  storeUrl: pathToFileURL(layout.store).href,
  temporalAddress: undefined,
  temporalNamespace: 'default',
});

async function bringUpStack(environment: Environment, home: DemoHome, progress: Progress): Promise<Stack> {
  const waiting = new Set<string>();
  const tell = (): void => progress.now('starting', [...waiting].join(', ') || 'the Temporal CLI');
  tell();
  return await bringUp({
    environment: ownEnvironment(environment, home),
    endpoints: [endpoint],
    log: (line) => progress.note(line),
    onEvent: (event) => {
      if (event.kind === 'started' || event.kind === 'ready') {
        if (event.kind === 'started') waiting.add(event.name);
        else waiting.delete(event.name);
        if (waiting.size > 0) tell();
        // That children stop at the end is what was asked for; any other news is worth a line.
      } else if (event.kind !== 'stopping' && event.kind !== 'stopped') progress.note(eventLine(event));
    },
  });
}

const whereItIs = ({ addresses: { temporal, endpoints } }: Stack): string =>
  `Web UI ${temporal.uiUrl}, endpoint ${endpoints[endpoint]}`;

/** From here, where that is shorter. */
export function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
