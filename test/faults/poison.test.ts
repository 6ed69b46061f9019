import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readMails } from '../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../examples/spam-filter/environment.ts';
import { labelDelayMs } from '../../examples/spam-filter/feed-rows.ts';
import type { MailRow } from '../../examples/spam-filter/mail.ts';
import { asLabelled } from '../../examples/spam-filter/poison.ts';
import { replayWeeks } from '../../examples/spam-filter/weeks.ts';
import { gateOf } from '../../src/activities/spec.ts';
import { readLoopFile } from '../../src/client/loop-file.ts';
import type { LoopSpec } from '../../src/contracts/loop-spec.ts';
import type { RowOutcome } from '../../src/contracts/manifests.ts';
import { checkLabelDisagreement } from '../../src/stats/data-checks.ts';
import { decideVerdict, type JudgedModel } from '../../src/stats/verdict.ts';
import { comparisonsOf, isHeldOut, knownAt, outcomesOf, trained } from './poison/mail-models.ts';

const loopFile = fileURLToPath(new URL('../../examples/spam-filter/loop.yaml', import.meta.url));

/** Real models, trained as the loop trains them, on real mail. */
describe('Poison: every label of a week is swapped, in training and hold-out alike', function () {
  this.timeout(180_000);
  let folder: string;
  let mails: MailRow[];
  let spec: LoopSpec;
  let champion: string;

  const weekOf = (day: string) => {
    const week = replayWeeks(mails).find(({ start }) => start.toISOString().startsWith(day));
    assert.ok(week, day);
    return week;
  };
  const newIn = (all: readonly MailRow[], { start, end }: { start: Date; end: Date }): MailRow[] => {
    const before = new Set(knownAt(mails, start).map(({ messageId }) => messageId));
    return knownAt(all, end).filter(({ messageId }) => !before.has(messageId));
  };
  const held = async (model: string, labels: readonly MailRow[]) => {
    const limit = spec.data.checks.labelDisagreement!;
    return checkLabelDisagreement(comparisonsOf(await outcomesOf(model, labels)), limit);
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-poison-'));
    mails = await readMails(mailEnvironment().cacheFolder);
    spec = (await readLoopFile(loopFile)).spec;
    champion = await trained(join(folder, 'champion'), knownAt(mails, weekOf('2002-09-05').start));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const poisoned = () => {
    const { start, end } = weekOf('2002-09-05');
    const at = (time: Date): string => new Date(time.getTime() - labelDelayMs).toISOString();
    return asLabelled(mails, { after: at(start), until: at(end) });
  };

  it('is held back before training, by name and count', async () => {
    const rows = newIn([...poisoned()], weekOf('2002-09-05'));
    const [overall, ...slices] = await held(champion, rows);
    assert.match(overall!.message, /^4\d\d of 501 labels \(9\d(\.\d)? %, .* contradict the champion's live answers/);
    assert.equal(overall!.rows, rows.length);
    assert.ok(
      slices.some(({ slice }) => slice === 'month=2002-09'),
      JSON.stringify(slices),
    );
  });

  it('would have passed the gate alone, which scores on the poison too', async () => {
    const labelled = poisoned();
    const known = knownAt(labelled, weekOf('2002-09-05').end);
    const candidate = await trained(join(folder, 'candidate'), known, champion);
    const scoredOn = (all: readonly MailRow[]) =>
      knownAt(all, weekOf('2002-09-05').end).filter(isHeldOut).slice(-spec.data.holdout.newest);
    // What is measured of a process is not in question: the gate's metrics of answers are.
    const gate = gateOf(spec);
    const ofAnswers = { ...gate, metrics: gate.metrics.filter(({ metric }) => !metric.startsWith('latency')) };
    const judged = (outcomes: RowOutcome[]): JudgedModel => ({
      ...{ outcomes, servable: true, sizeBytes: 1 },
      latency: { p50Ms: 1, p95Ms: 1, p99Ms: 1, samples: 1_000 },
    });
    const [theirs, ours] = [
      await outcomesOf(candidate, scoredOn(labelled)),
      await outcomesOf(champion, scoredOn(labelled)),
    ];
    const verdict = decideVerdict({
      ...{ gate: ofAnswers, candidate: judged(theirs), champion: judged(ours) },
      ...{ task: 'binary-classification', positive: 'true' },
    });
    assert.equal(verdict.result, 'pass', verdict.reasons.join('\n'));
    assert.ok(accuracy(theirs) > accuracy(ours), 'the gate sees a better model');
    const truth = accuracy(await outcomesOf(candidate, scoredOn(mails)));
    const before = accuracy(await outcomesOf(champion, scoredOn(mails)));
    assert.ok(truth < before - 0.02, `in truth ${truth} after ${before}: it is worse`);
  });

  it('is not what the real drift of September 26 looks like', async () => {
    const week = weekOf('2002-09-26');
    const model = await trained(join(folder, 'september'), knownAt(mails, week.start), champion);
    const rows = newIn(mails, week);
    assert.ok(rows.length > 400, `${rows.length} rows`);
    assert.deepEqual(await held(model, rows), []);
    // The model that stood still has it hardest, and even its false alarms are no poison.
    assert.deepEqual(await held(champion, rows), []);
  });
});

const accuracy = (outcomes: readonly RowOutcome[]): number =>
  outcomes.filter(({ label, predicted }) => label === predicted).length / outcomes.length;
