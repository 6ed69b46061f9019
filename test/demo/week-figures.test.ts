import assert from 'node:assert/strict';
import { recallPower } from '../../examples/spam-filter/replay/recall-power.ts';
import { accuracy, pooled, weekFigures } from '../../examples/spam-filter/replay/week-figures.ts';
import { figures, mail, week } from './weeks.ts';

describe('Figures of a week', () => {
  it('count good mails blocked and spam missed, for each model on the mails it judged', () => {
    const ours = week([mail('ham1'), mail('ham2'), mail('ham3'), mail('spam1', true), mail('spam2', true)]);
    const loop = new Map([
      ['ham1', 'false'],
      ['ham2', 'true'],
      ['ham3', 'false'],
      ['spam1', 'false'],
      ['spam2', 'true'],
    ]);
    const frozen = new Map([
      ['ham1', 'true'],
      ['ham2', 'true'],
      ['spam1', 'true'],
      // Another week's mail is none of this week's business.
      ['ham9', 'true'],
    ]);
    assert.deepEqual(weekFigures(ours, { loop, frozen }), {
      start: '2002-08-01',
      mails: 5,
      spam: 2,
      frozen: { mails: 3, blocked: 2, missed: 0 },
      loop: { mails: 5, blocked: 1, missed: 1 },
      alwaysHam: { mails: 5, blocked: 0, missed: 2 },
    });
  });

  it('are pooled mail by mail, not week by week', () => {
    const all = pooled([
      figures('2002-08-01', { mails: 100, spam: 50, frozen: [10, 0], loop: [0, 0] }),
      figures('2002-08-08', { mails: 300, spam: 0, frozen: [0, 0], loop: [30, 0] }),
    ]);
    assert.equal(accuracy(all.frozen), 1 - 10 / 400);
    assert.equal(accuracy(all.loop), 1 - 30 / 400);
    assert.equal(accuracy(all.alwaysHam), 1 - 50 / 400);
  });

  it('have no accuracy where nothing was judged', () => {
    assert.equal(accuracy(pooled([]).loop), null);
  });
});

describe('Weeks that are too small to judge recall', () => {
  it('are named, with the spam and the mails that it would take', () => {
    // Recall 0.95 over all weeks: 6.18 · 0.95 · 0.05 / 0.1² = 29.4 spam show a loss of ten points.
    const power = recallPower([
      figures('2002-09-26', { mails: 474, spam: 94, frozen: [0, 0], loop: [0, 5] }),
      figures('2002-10-03', { mails: 500, spam: 6, frozen: [0, 0], loop: [0, 0] }),
      figures('2002-10-10', { mails: 37, spam: 0, frozen: [0, 0], loop: [0, 0] }),
    ]);
    assert.deepEqual(power, {
      spamNeeded: 30,
      tooSmall: [
        { start: '2002-10-03', spam: 6, mailsNeeded: 2_500 },
        { start: '2002-10-10', spam: 0, mailsNeeded: null },
      ],
    });
  });

  it('are judged by the rule of three when no spam was ever missed', () => {
    const power = recallPower([figures('2002-10-03', { mails: 500, spam: 28, frozen: [0, 0], loop: [0, 0] })]);
    assert.equal(power?.spamNeeded, 29);
    assert.equal(power?.tooSmall.length, 1);
  });

  it('cannot be told without any spam at all', () => {
    assert.equal(recallPower([figures('2002-10-10', { mails: 9, spam: 0, frozen: [0, 0], loop: [0, 0] })]), null);
  });
});
