import { writeFile } from 'node:fs/promises';
import { replayMail } from '../../../../examples/spam-filter/replay/replay.ts';
import { replayWeeks } from '../../../../examples/spam-filter/weeks.ts';
import { exitCodes } from '../errors.ts';
import type { Session } from '../session.ts';
import { cycleFigures } from './cycle-figures.ts';
import { poisonScript } from './poison.ts';
import type { Progress } from './progress.ts';
import { weeksSvg } from './report/svg.ts';
import { resultText } from './report/text.ts';
import { type DemoResult, demoResult } from './result.ts';
import { onStage, type Stage, shown } from './stage.ts';

export interface DemoOptions {
  /** First weeks only; all by default. */
  weeks?: number;
  /** Background requests per second while a canary runs; 300 by default. */
  rate?: number;
  /** Every label that is new in this cycle is swapped. */
  poisonCycle?: number;
  /** Stay up after the end until Ctrl-C. */
  keep?: boolean;
  /** State folder; it is emptied. */
  home?: string;
}

/**
 * The whole demo: an own stack, the replay of the mail, the result on stdout, and everything stopped again.
 * @returns the exit code
 */
export async function runDemo(session: Session, options: DemoOptions): Promise<number> {
  const { output, by } = session;
  return await onStage(session, options.home, async (stage) => {
    const { home, progress } = stage;
    const result = await replay(stage);
    progress.close();
    await writeFile(home.resultFile, `${JSON.stringify(result, undefined, 2)}\n`);
    await writeFile(home.chartFile, weeksSvg(result.weeks));
    output.result({ document: result, text: resultText(result, output) });
    output.note(`\nThe same as a file: ${shown(home.resultFile)}, as a picture: ${shown(home.chartFile)}`);
    if (options.keep) await keepUp(stage);
    return result.problems.length === 0 ? exitCodes.ok : exitCodes.failed;
  });

  async function replay(stage: Stage): Promise<DemoResult> {
    const { goto3, endpointUrl, mails, home, interrupt, progress, startedAt, stackReadyMs } = stage;
    const { rate: ratePerSecond = 300 } = options;
    const tell = (line: string): void => progress.note(line);
    const poison =
      options.poisonCycle === undefined ? undefined : poisonScript(options.poisonCycle, { home, mails, tell });
    const replayed = await replayMail({
      ...{ goto3, endpointUrl, mails, by, signal: interrupt.signal },
      ...{ clockFile: home.clockFile, poisonFile: home.poisonFile },
      weeks: replayWeeks(mails).slice(0, options.weeks),
      ratePerSecond,
      progress: {
        ...forwarded(progress),
        serving: () => progress.note(`Ask it yourself:\n${curlLine(endpointUrl)}`),
      },
      ...(poison && { script: poison.script }),
    });
    const durationMs = Date.now() - startedAt.getTime();
    const cycles = await cycleFigures(goto3.store, goto3.loop(replayed.loop).reports());
    const poisoning = poison?.poisoning ?? null;
    return demoResult({ ...replayed, startedAt, durationMs, stackReadyMs, cycles, ratePerSecond, poisoning });
  }

  /** Until Ctrl-C, which is then no interruption but the end. */
  async function keepUp({ home, interrupt, endpointUrl, stack: { addresses, stopped } }: Stage): Promise<void> {
    output.note(`\nStill up, as asked. Web UI: ${addresses.temporal.uiUrl}\n${curlLine(endpointUrl)}`);
    output.note(`Another terminal: GOTO3_HOME=${shown(home.layout.home)} ./bin/goto3 status. Ctrl-C stops it.`);
    await Promise.race([interrupt.happened, stopped]);
  }
}

/** A line to try; any mail's subject and body will do. */
const curlLine = (url: string): string =>
  `  curl -s ${url}/invocations -H 'content-type: application/json' -d '{"subject": "You have won", "body": "Click here to claim your free prize"}'`;

/** The interface's own methods only: a view is a class, and spread would lose them. */
export const forwarded = (progress: Progress) => ({
  begin: (step: string) => progress.begin(step),
  now: (what: string, waitsFor: string) => progress.now(what, waitsFor),
  end: (result: string) => progress.end(result),
});
