import { randomUUID } from 'node:crypto';
import type { Goto3 } from '../../../src/client/connect.ts';
import { Goto3Error } from '../../../src/client/errors.ts';
import type { ReplicaStatus } from '../../../src/contracts/endpoint.ts';
import type { CycleStatus } from '../../../src/contracts/messages.ts';
import type { FeatureRow } from '../../../src/contracts/model.ts';
import type { TrafficCounts } from '../../../src/serving/traffic.ts';
import { replayStart, writeClock } from '../clock.ts';
import { labelDelayMs } from '../feed-rows.ts';
import type { MailRow } from '../mail.ts';
import type { ReplayWeek } from '../weeks.ts';
import { applyMailLoop, type ReplayedLoop } from './apply-mail-loop.ts';
import { askAboutMails, featuresOf, type Unanswered } from './ask-endpoint.ts';
import { untilLoopIsIdle } from './loop-watch.ts';
import { frozenVariant, RecordedAnswers } from './recorded-answers.ts';
import { RolloutTraffic } from './rollout-traffic.ts';
import type { EndedCycle, ReplayScript } from './script.ts';
import { until } from './until.ts';
import { type WeekFigures, weekFigures } from './week-figures.ts';

export interface ReplayOptions {
  goto3: Goto3;
  /** Base address of the endpoint that `loop.yaml` names. */
  endpointUrl: string;
  /** All mails, oldest first. */
  mails: readonly MailRow[];
  weeks: readonly ReplayWeek[];
  /** Absolute path; the replay moves the data's time by it. */
  clockFile: string;
  /** Absolute path; whose labels are swapped is what a script writes there. */
  poisonFile: string;
  train?: ReplayedLoop['train'];
  /** Background requests per second while a canary runs; null: somebody else sends them. */
  ratePerSecond: number | null;
  /** Who applies the loop, for the record. */
  by: string;
  signal: AbortSignal;
  progress: ReplayProgress;
  /** What goes wrong, and what a person does about it. */
  script?: ReplayScript;
}

/** Told as it happens; nothing is decided by it. */
export interface ReplayProgress {
  /** A step begins: the first cycle, a week, the last labels. */
  begin(step: string): void;
  /** What the step is at, and what it waits for. */
  now(what: string, waitsFor: string): void;
  end(result: string): void;
  /** The first version serves: from here on anybody may ask. */
  serving(): void;
}

export interface Replayed {
  loop: string;
  endpoint: string;
  weeks: WeekFigures[];
  unanswered: Unanswered[];
  /** Background requests, over all rollouts. */
  traffic: TrafficCounts;
}

/** A mail server asks about the mails that it has just taken in, not about a week at once. */
const concurrency = 8;
/** The endpoint writes its captures four times a second. */
const capturedWithinMs = 30_000;
const loadsWithinMs = 60_000;

/**
 * Replays the mail week by week, as it happened: each mail goes to the endpoint first, then time moves on, labels become
 * known a day after their mail, and the loop is told. When it has done what it wants to do about them, the next week
 * begins. Nothing is trained on before its label is known.
 * @throws NeedsPerson, Goto3Error; the signal's reason
 */
export async function replayMail(options: ReplayOptions): Promise<Replayed> {
  const { goto3, endpointUrl, mails, clockFile, poisonFile, train, by, signal, progress, ratePerSecond } = options;
  const script = options.script ?? {};
  progress.begin(`first cycle, mail before ${dayOf(replayStart)}`);
  await writeClock(clockFile, replayStart);
  const appliedAtMs = Date.now();
  const feed = { MAIL_CLOCK: clockFile, MAIL_POISON: poisonFile };
  const { loop, rollout } = await applyMailLoop(goto3, { feed, ...(train && { train }) }, by);
  if (rollout === 'none') throw new Goto3Error('loop.yaml: expected a rollout to an endpoint');
  const { endpoint } = rollout;

  const answers = new RecordedAnswers(goto3.store.captures, endpoint);
  const unanswered: Unanswered[] = [];
  const rows = mailsUpTo(mails, replayStart);
  let lastCycle = 0;
  /** Mails that arrived up to here have been in a cycle. */
  let takenUntil = labelledAt(replayStart);
  const trafficEnds = new AbortController();
  const traffic =
    ratePerSecond === null
      ? undefined
      : new RolloutTraffic({
          store: goto3.store,
          endpoint,
          url: endpointUrl,
          rows: rows.next,
          ratePerSecond,
          signal: AbortSignal.any([signal, trafficEnds.signal]),
        });
  const trafficRuns = traffic?.run();
  trafficRuns?.catch(() => trafficEnds.abort());

  try {
    await untilIdle(appliedAtMs);
    await keepFirstModel();
    progress.serving();
    for (const week of options.weeks) await replayWeek(week);
    const lastEnd = options.weeks.at(-1)?.end ?? replayStart;
    progress.begin('last labels');
    await moveTimeTo(new Date(lastEnd.getTime() + labelDelayMs));
  } finally {
    trafficEnds.abort();
    await trafficRuns;
  }
  await answers.readOn();
  return {
    loop,
    endpoint,
    weeks: options.weeks.map((week) => weekFigures(week, answers)),
    unanswered,
    traffic: traffic?.total ?? { sent: 0, answered: 0, failed: 0, skipped: 0 },
  };

  /** The first model goes on as a shadow that never learns: what the loop is measured against. */
  async function keepFirstModel(): Promise<void> {
    const { current, frozen } = await goto3.endpoint(endpoint).status();
    if (!current) throw new Goto3Error(`the first cycle left nothing that serves${frozen ? `: ${frozen.reason}` : ''}`);
    progress.now('shadow', `${endpoint} to load the first model as a shadow that never learns`);
    await goto3.endpoint(endpoint).shadow({
      requestId: randomUUID(),
      reason: 'the first model, to compare the loop with',
      name: frozenVariant,
      model: current.model,
    });
    await until(() => servesShadow(endpointUrl, signal), {
      everyMs: 100,
      withinMs: loadsWithinMs,
      signal,
      what: `${endpoint} serves the shadow "${frozenVariant}"`,
    });
    progress.end(`version ${current.version} serves, and stays beside the loop as the shadow "${frozenVariant}"`);
  }

  async function replayWeek(week: ReplayWeek): Promise<void> {
    progress.begin(`week of ${dayOf(week.start)}`);
    const asking = (done: number): void => progress.now('asking', `answers: ${done} of ${week.mails.length} mails`);
    asking(0);
    const failed = await askAboutMails(week.mails, { url: endpointUrl, concurrency, signal, onAnswered: asking });
    unanswered.push(...failed);
    rows.upTo(week.end);
    const without = new Set(failed.map(({ messageId }) => messageId));
    await until(
      async () => {
        await answers.readOn();
        return week.mails.every(({ messageId }) => answers.loop.has(messageId) || without.has(messageId)) || undefined;
      },
      {
        everyMs: 50,
        withinMs: capturedWithinMs,
        signal,
        what: `the answers of the week of ${dayOf(week.start)} are captured`,
      },
    );
    await moveTimeTo(week.end, `${week.mails.length - failed.length} mails answered; `);
  }

  /** Labels that are known by then arrive; the loop is told and does what it wants to do about them. */
  async function moveTimeTo(now: Date, before = ''): Promise<void> {
    progress.now('labels', 'the loop to look at them');
    const until = labelledAt(now);
    await script.beforeLabels?.({ cycle: lastCycle + 1, after: takenUntil, until });
    await writeClock(clockFile, now);
    const announcedAtMs = Date.now();
    await goto3.loop(loop).newData();
    const cycle = await untilIdle(announcedAtMs);
    if (cycle) takenUntil = until;
    progress.end(`${before}${cycle ? `cycle ${cycle.n} ${cycle.outcome}` : 'no cycle'}`);
    if (cycle) await script.afterCycle?.(cycle);
  }

  /** @returns the cycle that ended meanwhile */
  async function untilIdle(announcedAtMs: number): Promise<EndedCycle | undefined> {
    const before = lastCycle;
    const onCycle = (cycle: CycleStatus): void => {
      progress.now(`cycle ${cycle.n}: ${cycle.stage}`, waitsFor(cycle));
      script.onCycle?.(cycle);
    };
    const operator = script.operator?.bind(script);
    const { last } = await untilLoopIsIdle(goto3, announcedAtMs, { loop, signal, onCycle, operator });
    lastCycle = last?.n ?? 0;
    return last && last.n > before ? last : undefined;
  }

  function waitsFor({ stage, waitsFor: what }: CycleStatus): string {
    const sent = traffic?.current?.sent;
    return stage === 'rollout' && sent !== undefined ? `${what}; ${sent} background requests so far` : what;
  }
}

/** The newest mail whose label is known at a time arrived at this one. */
const labelledAt = (now: Date): string => new Date(now.getTime() - labelDelayMs).toISOString();
const dayOf = (date: Date): string => date.toISOString().slice(0, 10);

/** Mails that have been seen by a time, round and round. */
function mailsUpTo(mails: readonly MailRow[], time: Date): { next: () => FeatureRow; upTo: (time: Date) => void } {
  const seenBy = (until: Date): number => {
    const first = mails.findIndex(({ receivedAt }) => Date.parse(receivedAt) >= until.getTime());
    return first < 0 ? mails.length : first;
  };
  let seen = seenBy(time);
  let turn = 0;
  return {
    next: () => featuresOf(mails[turn++ % seen]!),
    upTo: (later) => {
      seen = seenBy(later);
    },
  };
}

async function servesShadow(url: string, signal: AbortSignal): Promise<true | undefined> {
  const response = await fetch(`${url}/goto3/status`, { signal }).catch(() => undefined);
  if (!response?.ok) return undefined;
  const { variants } = (await response.json()) as ReplicaStatus;
  return variants.some(({ name, ready }) => name === frozenVariant && ready) || undefined;
}
