import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse } from 'yaml';
import { type CorpusSummary, parsedCorpus, readMails } from '../../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../../examples/spam-filter/environment.ts';
import type { MailRow } from '../../../examples/spam-filter/mail.ts';
import { replayWeeks } from '../../../examples/spam-filter/weeks.ts';
import { LoopSpecSchema } from '../../../src/contracts/loop-spec.ts';

describe('the corpus', function () {
  // The first run on a machine parses it.
  this.timeout(90_000);
  let mails: MailRow[];
  before(async () => {
    mails = await readMails(mailEnvironment().cacheFolder);
  });

  it('accounts for every mail', async () => {
    const folder = dirname(await parsedCorpus(mailEnvironment().cacheFolder));
    const summary = JSON.parse(await readFile(join(folder, 'summary.json'), 'utf8')) as CorpusSummary;
    const unreadable = Object.values(summary.unreadable).reduce((sum, count) => sum + count, 0);
    assert.equal(summary.mails + unreadable, 6_046);
    assert.deepEqual(summary.unreadable, {});
    assert.equal(summary.mails, mails.length);
    assert.equal(summary.spam, 1_896);
  });

  it('has unique ids and is ordered by time', () => {
    assert.equal(new Set(mails.map((mail) => mail.messageId)).size, mails.length);
    for (const [i, mail] of mails.slice(1).entries()) assert.ok(mail.receivedAt >= mails[i]!.receivedAt);
  });

  it('has the months that the collectors report', () => {
    const count = (month: string, isSpam: boolean) =>
      mails.filter((mail) => mail.month === month && mail.isSpam === isSpam).length;
    for (const [month, ham, spam] of [
      ['2002-07', 706, 575],
      ['2002-08', 1_298, 323],
      ['2002-09', 1_313, 321],
      ['2002-10', 734, 6],
    ] as const)
      assert.deepEqual([count(month, false), count(month, true)], [ham, spam], month);
  });

  it('shows nothing of lists and collectors', () => {
    const marks = /listinfo\/|^\[ILUG\]|spamassassin\.taint\.org|This sf\.net email is sponsored/i;
    const marked = mails.filter((mail) => marks.test(`${mail.subject}\n${mail.body}`));
    assert.ok(marked.length < mails.length / 100, `${marked.length} mails show their source`);
  });

  it('is replayed in eleven weeks', () => {
    const weeks = replayWeeks(mails);
    assert.deepEqual(
      weeks.map((week) => [week.mails.length, week.mails.filter((mail) => mail.isSpam).length]),
      [
        [338, 131],
        [356, 36],
        [313, 0],
        [510, 139],
        [309, 77],
        [529, 75],
        [211, 67],
        [402, 102],
        [480, 17],
        [509, 6],
        [37, 0],
      ],
    );
    assert.ok(weeks.every((week, w) => w === 0 || week.start.getTime() === weeks[w - 1]!.end.getTime()));
  });
});

describe('loop.yaml', () => {
  it("is a valid loop whose columns are the feed's, which gives no label that may still change", async () => {
    const file = new URL('../../../examples/spam-filter/loop.yaml', import.meta.url);
    const spec = LoopSpecSchema.parse(parse(await readFile(file, 'utf8')));
    const columns: (keyof MailRow)[] = ['messageId', 'receivedAt', 'isSpam', 'subject', 'body'];
    const { id, time, label, features } = spec.data.columns;
    assert.deepEqual([id, time, label, ...features], columns);
    assert.equal(spec.data.labelDelay, 0);
  });
});
