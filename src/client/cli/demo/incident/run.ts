import { writeFile } from 'node:fs/promises';
import { replayStart } from '../../../../../examples/spam-filter/clock.ts';
import { footer } from '../../../../../examples/spam-filter/incident/slow-path.ts';
import type { MailRow } from '../../../../../examples/spam-filter/mail.ts';
import { featuresOf } from '../../../../../examples/spam-filter/replay/ask-endpoint.ts';
import { replayMail } from '../../../../../examples/spam-filter/replay/replay.ts';
import { replayWeeks } from '../../../../../examples/spam-filter/weeks.ts';
import type { FeatureRow } from '../../../../contracts/model.ts';
import { type BackgroundTraffic, startBackgroundTraffic } from '../../../../serving/traffic.ts';
import { exitCodes } from '../../errors.ts';
import type { Paint } from '../../output.ts';
import type { Session } from '../../session.ts';
import { cycleFigures } from '../cycle-figures.ts';
import { forwarded } from '../run.ts';
import { onStage, type Stage, shown } from '../stage.ts';
import type { ClientCounts, Tell } from './act.ts';
import { incidentActs } from './acts.ts';
import { jobsDone } from './jobs-twice.ts';
import { type IncidentResult, problemsOf } from './result.ts';
import { incidentText } from './text.ts';

export interface IncidentOptions {
  /** First weeks only; 4 by default: three that go wrong, and one that shows the loop go on. */
  weeks?: number;
  /** Requests of clients per second, from the first version that serves to the end; 120 by default. */
  rate?: number;
  /** State folder; it is emptied. */
  home?: string;
}

const loop = 'spam-filter';
/** Long enough to be killed in the middle, on a fast machine too. */
const hyperparameters = { epochs: 6, warmEpochs: 8, progressSeconds: 0.1 };
/** One mail of so many came through the new mailing tool. */
const oneInHasFooter = 25;
/** A forgotten run ends by itself. */
const longestMs = 30 * 60_000;

/**
 * Three things go wrong in one run of the demo: what happened, what the operator had to type, how long it took, and what
 * clients saw. @returns 0 only if no request failed and no job ran twice
 */
export async function runIncident(session: Session, options: IncidentOptions): Promise<number> {
  const { output } = session;
  return await onStage(session, options.home, async (stage) => {
    const { home, progress } = stage;
    const result = await play(stage, { by: session.by, paint: output.paint }, options);
    progress.close();
    await writeFile(home.resultFile, `${JSON.stringify(result, undefined, 2)}\n`);
    output.result({ document: result, text: incidentText(result, output) });
    output.note(`\nThe same as a file: ${shown(home.resultFile)}`);
    return result.problems.length === 0 ? exitCodes.ok : exitCodes.failed;
  });
}

async function play(
  stage: Stage,
  { by, paint }: { by: string; paint: Paint },
  { weeks = 4, rate: ratePerSecond = 120 }: IncidentOptions,
): Promise<IncidentResult> {
  const { goto3, endpointUrl, mails, home, interrupt, progress, startedAt, stackReadyMs } = stage;
  let traffic: BackgroundTraffic | undefined;
  const clients = (): ClientCounts => traffic?.counts() ?? { sent: 0, failed: 0 };
  const tell: Tell = (text, kind) => progress.note(kind === 'title' ? paint.bold(text) : text);
  const { all, script } = incidentActs(stage, { loop, clients, tell });
  const end = new AbortController();
  const signal = AbortSignal.any([interrupt.signal, end.signal]);
  try {
    const played = replayWeeks(mails).slice(0, weeks);
    const { unanswered } = await replayMail({
      ...{ goto3, endpointUrl, mails, by, script, signal: interrupt.signal },
      ...{ clockFile: home.clockFile, poisonFile: home.poisonFile },
      weeks: played,
      train: {
        program: ['node', 'incident/train.ts'],
        env: { MAIL_SLOW_CANDIDATE: home.slowCandidateFile },
        hyperparameters,
      },
      ratePerSecond: null,
      progress: {
        ...forwarded(progress),
        serving: () => {
          const rows = rowsOfClients(mails);
          traffic = startBackgroundTraffic({ url: endpointUrl, rows, ratePerSecond, signal, forMs: longestMs });
        },
      },
    });
    end.abort();
    const asked = played.reduce((sum, week) => sum + week.mails.length, 0);
    const { sent, failed } = (await traffic?.done) ?? { sent: 0, failed: 0 };
    const figures = {
      acts: all.map((act) => act.figures),
      // The replay's own mails are clients too.
      clients: { sent: sent + asked, failed: failed + unanswered.length, ratePerSecond },
      jobs: await jobsDone(home.layout.jobs),
    };
    const cycles = await cycleFigures(goto3.store, goto3.loop(loop).reports());
    return {
      schema: 'goto3/incident/v1',
      loop,
      startedAt: startedAt.toISOString(),
      durationMs: Date.now() - startedAt.getTime(),
      stackReadyMs,
      ...figures,
      cycles: cycles.map(({ cycle, outcome, version }) => ({ cycle, outcome, version })),
      problems: problemsOf(figures),
    };
  } finally {
    end.abort();
    await traffic?.done;
  }
}

/** Mails from before the replay, round and round; some came through a mailing tool that no hold-out knows. */
function rowsOfClients(mails: readonly MailRow[]): () => FeatureRow {
  const seen = mails.filter(({ receivedAt }) => Date.parse(receivedAt) < replayStart.getTime());
  let turn = 0;
  return () => {
    const mail = seen[turn % seen.length]!;
    turn += 1;
    const row = { ...featuresOf(mail) };
    return turn % oneInHasFooter === 0 ? { ...row, body: `${mail.body}\n${footer}` } : row;
  };
}
