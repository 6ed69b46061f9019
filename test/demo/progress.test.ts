import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import { frame } from '../../src/client/cli/demo/frame.ts';
import { createProgress } from '../../src/client/cli/demo/progress.ts';
import { Steps } from '../../src/client/cli/demo/steps.ts';

const paint = pc.createColors(false);

describe('Steps of the demo', () => {
  it('count what a step waits for from the time it came to it', () => {
    const steps = new Steps();
    steps.begin('week of 2002-08-01', 1_000);
    assert.ok(steps.now('asking', 'answers: 0 of 338 mails', 2_000));
    assert.equal(steps.now('asking', 'answers: 200 of 338 mails', 3_000), undefined, 'more of the same is no news');
    assert.deepEqual(steps.running?.now, { what: 'asking', waitsFor: 'answers: 200 of 338 mails', sinceMs: 2_000 });
    assert.ok(steps.now('labels', 'the loop', 4_000));
    steps.end('338 mails answered', 5_000);
    assert.equal(steps.running, undefined);
    assert.equal(steps.now('late', 'nothing', 6_000), undefined);
  });
});

describe('Frame of the live view', () => {
  const steps = new Steps();
  steps.begin('stack', 0);
  steps.end('ready', 9_000);
  steps.begin('week of 2002-08-01', 9_000);
  steps.now('cycle 2: train', 'the fine-tune on 1785 rows', 12_000);

  it('shows what has ended and how long it took, and what runs and waits', () => {
    const [first, second] = frame(steps.all, 14_000, { columns: 120, rows: 20, paint });
    assert.match(first!, /^✓ +9\.0s {2}stack +ready$/);
    assert.match(
      second!,
      /^▸ +5\.0s {2}week of 2002-08-01 {2}cycle 2: train for 2\.0s, waits for the fine-tune on 1785 rows$/,
    );
  });

  it('never wraps a line and keeps the newest steps when rows are few', () => {
    for (const columns of [20, 40, 79])
      for (const line of frame(steps.all, 14_000, { columns, rows: 20, paint }))
        assert.ok([...line].length < columns, `"${line}" in ${columns} columns`);
    assert.deepEqual(frame(steps.all, 14_000, { columns: 120, rows: 1, paint }).length, 1);
    assert.match(frame(steps.all, 14_000, { columns: 120, rows: 1, paint })[0]!, /week of/);
  });
});

/** A terminal that keeps what it was sent. */
function terminal(): NodeJS.WriteStream & { text(): string } {
  const stream = new PassThrough();
  return Object.assign(stream, { columns: 100, rows: 24, text: () => String(stream.read() ?? '') }) as never;
}

describe('Progress', () => {
  it('is plain lines where nobody sits at a terminal: begin, something new, end', () => {
    const stream = terminal();
    const progress = createProgress({ stream, live: false, paint });
    progress.begin('week of 2002-08-01');
    progress.now('asking', 'answers: 0 of 338 mails');
    progress.now('asking', 'answers: 1 of 338 mails');
    progress.end('338 mails answered');
    progress.close();
    const lines = stream.text().trimEnd().split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[0]!, /^ +\d+ms {2}week of 2002-08-01: asking, waits for answers: 0 of 338 mails$/);
    assert.match(lines[1]!, /week of 2002-08-01: 338 mails answered \(took \d+ms\)$/);
    assert.equal(stripVTControlCharacters(lines.join()), lines.join(), 'no escapes in a log');
  });

  it('is redrawn in place on a terminal; notes stay above it, and what programs say cannot steer the terminal', () => {
    const stream = terminal();
    const progress = createProgress({ stream, live: true, paint });
    try {
      progress.begin('stack');
      progress.note('a note\u001b[2J');
      progress.end('ready');
    } finally {
      progress.close();
    }
    const text = stream.text();
    assert.match(text, /a note\\x1b\[2J\n/);
    // Up over the one line that was drawn, then drawn again.
    assert.ok(text.includes('\u001b[1A\u001b[0J'));
    assert.match(text, /✓ +\d+ms {2}stack {2}ready\n$/);
  });
});
