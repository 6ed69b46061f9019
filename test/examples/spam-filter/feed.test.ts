import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { readClock, replayStart, writeClock } from '../../../examples/spam-filter/clock.ts';
import { BadCursorError, labelDelayMs, rowsSince } from '../../../examples/spam-filter/feed-rows.ts';
import type { MailRow } from '../../../examples/spam-filter/mail.ts';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../../examples/spam-filter/feed.ts', import.meta.url));

const mailAt = (minute: number, n: number): MailRow => ({
  messageId: n.toString(16).padStart(32, '0'),
  receivedAt: new Date(replayStart.getTime() + minute * 60_000).toISOString(),
  isSpam: n % 2 === 0,
  subject: '',
  body: '',
  hasHtml: false,
  month: '2002-08',
});
const clockAt = (minute: number) => new Date(replayStart.getTime() + labelDelayMs + minute * 60_000);

describe('feed', () => {
  it('gives each row once, in order, however the clock moves and calls are repeated', () =>
    fc.assert(
      fc.property(
        // Few minutes for many mails: equal times are the hard case.
        fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 40 }),
        fc.array(fc.integer({ min: -1, max: 10 }), { maxLength: 8 }),
        (minutes, clocks) => {
          const mails = minutes.toSorted((a, b) => a - b).map(mailAt);
          let cursor = '';
          const given: MailRow[] = [];
          for (const minute of [...clocks, 10]) {
            const answer = rowsSince(mails, cursor, clockAt(minute));
            assert.deepEqual(rowsSince(mails, cursor, clockAt(minute)), answer);
            given.push(...answer.rows);
            cursor = answer.cursor;
          }
          assert.deepEqual(given, mails);
          assert.deepEqual(rowsSince(mails, cursor, clockAt(99)), { rows: [], cursor });
        },
      ),
    ));

  it('gives a row when its label is known, not before', () => {
    const mails = [mailAt(5, 1)];
    assert.equal(rowsSince(mails, '', new Date(clockAt(5).getTime() - 1)).rows.length, 0);
    assert.equal(rowsSince(mails, '', clockAt(5)).rows.length, 1);
  });

  it('refuses a cursor that it never printed', () => {
    for (const cursor of ['x', '2002-08-01', '2002-08-01T00:00:00.000Z/zz'])
      assert.throws(() => rowsSince([], cursor, replayStart), BadCursorError);
  });

  describe('as a program', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'feed-'));
    });
    afterEach(() => rm(folder, { recursive: true }));

    async function feed(...args: string[]): Promise<{ rows: MailRow[]; cursor: string }> {
      const { stdout } = await run(process.execPath, ['--import', 'tsx', program, ...args], {
        env: { ...process.env, MAIL_CLOCK: join(folder, 'clock.json') },
        maxBuffer: 2 ** 26,
      });
      const lines = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as MailRow & { cursor: string });
      return { rows: lines.slice(0, -1), cursor: lines.at(-1)!.cursor };
    }

    it('starts with everything before August 2002 and goes on from its cursor', async function () {
      // The first run on a machine parses the corpus.
      this.timeout(90_000);
      const first = await feed();
      assert.equal(first.rows.length, 1839);
      await writeClock(join(folder, 'clock.json'), new Date('2002-08-08T00:00:00Z'));
      const second = await feed('--since', first.cursor);
      assert.equal(second.rows.length, 385);
      assert.ok(second.rows.every((row) => row.receivedAt < '2002-08-07' && row.receivedAt > '2002-07-31'));
      assert.deepEqual(await feed('--since', second.cursor), { rows: [], cursor: second.cursor });
    });

    it('ends with 1 and a sentence on a bad cursor and a bad clock', async () => {
      await assert.rejects(feed('--since', 'yesterday'), /feed: --since: expected a cursor.*"yesterday"/);
      await writeFile(join(folder, 'clock.json'), '{"now":');
      await assert.rejects(feed(), /clock\.json: expected \{"now"/);
    });
  });
});

describe('clock', () => {
  it('is at the start of the replay until it is written', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'clock-'));
    const file = join(folder, 'clock.json');
    assert.deepEqual(await readClock(undefined), replayStart);
    assert.deepEqual(await readClock(file), replayStart);
    const later = new Date('2002-09-05T12:00:00Z');
    await writeClock(file, later);
    assert.deepEqual(await readClock(file), later);
    for (const content of ['', '{}', '{"now":5}', '{"now":"soon"}', 'null']) {
      await writeFile(file, content);
      await assert.rejects(readClock(file), /expected \{"now"/);
    }
    await rm(folder, { recursive: true });
  });
});
