import { writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readMails } from '../../../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../../../examples/spam-filter/environment.ts';
import type { MailRow } from '../../../../examples/spam-filter/mail.ts';
import { replayMail } from '../../../../examples/spam-filter/replay/replay.ts';
import { replayWeeks } from '../../../../examples/spam-filter/weeks.ts';
import type { Environment } from '../../../stack/environment.ts';
import { bringUp, type Stack } from '../../../stack/stack.ts';
import { connect } from '../../connect.ts';
import { exitCodes } from '../errors.ts';
import { eventLine } from '../event-lines.ts';
import type { Session } from '../session.ts';
import { cycleFigures } from './cycle-figures.ts';
import { type DemoHome, endJobs, freshHome } from './home.ts';
import { Interrupt } from './interrupt.ts';
import { createProgress, type Progress } from './progress.ts';
import { weeksSvg } from './report/svg.ts';
import { resultText } from './report/text.ts';
import { type DemoResult, demoResult } from './result.ts';

export interface DemoOptions {
  /** First weeks only; all by default. */
  weeks?: number;
  /** Background requests per second while a canary runs. */
  rate: number;
  /** Stay up after the end until Ctrl-C. */
  keep?: boolean;
  /** State folder; it is emptied. */
  home?: string;
}

const endpoint = 'mail';
/** A cold start on two busy cores takes 10 to 20 s. */
const readyWithinMs = 180_000;

/**
 * The whole demo: an own stack, the replay of the mail, the result on stdout, and everything stopped again.
 * @returns the exit code
 */
export async function runDemo({ environment, output, by }: Session, options: DemoOptions): Promise<number> {
  const startedAt = new Date();
  const home = await freshHome(resolve(options.home ?? join(environment.home, 'demo')));
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

    const result = await replay(await interrupt.orDone(mails), stackReadyMs, stack);
    progress.close();
    await writeFile(home.resultFile, `${JSON.stringify(result, undefined, 2)}\n`);
    await writeFile(home.chartFile, weeksSvg(result.weeks));
    output.result({ document: result, text: resultText(result, output) });
    output.note(`\nThe same as a file: ${shown(home.resultFile)}, as a picture: ${shown(home.chartFile)}`);
    if (options.keep) await keepUp(stack);
    return result.problems.length === 0 ? exitCodes.ok : exitCodes.failed;
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

  async function replay(mails: readonly MailRow[], stackReadyMs: number, { addresses }: Stack): Promise<DemoResult> {
    const endpointUrl = addresses.endpoints[endpoint]!;
    const goto3 = await connect({ environment: ownEnvironment(environment, home), by });
    try {
      const replayed = await replayMail({
        goto3,
        endpointUrl,
        mails,
        weeks: replayWeeks(mails).slice(0, options.weeks),
        clockFile: home.clockFile,
        ratePerSecond: options.rate,
        by,
        signal: interrupt.signal,
        progress: {
          ...forwarded(progress),
          serving: () => progress.note(`Ask it yourself:\n${curlLine(endpointUrl)}`),
        },
      });
      const durationMs = Date.now() - startedAt.getTime();
      const cycles = await cycleFigures(goto3.store, goto3.loop(replayed.loop).reports());
      return demoResult({ ...replayed, startedAt, durationMs, stackReadyMs, cycles, ratePerSecond: options.rate });
    } finally {
      await goto3.close();
    }
  }

  /** Until Ctrl-C, which is then no interruption but the end. */
  async function keepUp({ addresses, stopped }: Stack): Promise<void> {
    output.note(
      `\nStill up, as asked. Web UI: ${addresses.temporal.uiUrl}\n${curlLine(addresses.endpoints[endpoint]!)}`,
    );
    output.note(`Another terminal: GOTO3_HOME=${shown(home.layout.home)} ./bin/goto3 status. Ctrl-C stops it.`);
    await Promise.race([interrupt.happened, stopped]);
  }
}

/** As shells count an end by SIGINT. */
const interruptedExitCode = 130;

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

/** A line to try; any mail's subject and body will do. */
const curlLine = (url: string): string =>
  `  curl -s ${url}/invocations -H 'content-type: application/json' -d '{"subject": "You have won", "body": "Click here to claim your free prize"}'`;

/** The interface's own methods only: a view is a class, and spread would lose them. */
const forwarded = (progress: Progress) => ({
  begin: (step: string) => progress.begin(step),
  now: (what: string, waitsFor: string) => progress.now(what, waitsFor),
  end: (result: string) => progress.end(result),
});

/** From here, where that is shorter. */
function shown(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
