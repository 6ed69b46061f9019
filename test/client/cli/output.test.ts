import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import pc from 'picocolors';
import { harmless, Output, table } from '../../../src/client/cli/output.ts';

const paint = pc.createColors(false);

describe('output', () => {
  it('aligns columns, numbers to the right, without spaces at the end', () => {
    const text = table(
      ['loop', 'cycles', 'state'],
      [
        ['spam', '7', 'idle'],
        ['a', '1,024', ''],
      ],
      { paint, width: undefined },
    );
    assert.deepEqual(text.split('\n'), ['loop  cycles  state', 'spam       7  idle', 'a      1,024']);
  });

  it('measures without colours, and cuts to the width of a terminal', () => {
    const colours = pc.createColors(true);
    const rows = [[colours.green('ok'), 'a long reason that does not fit']];
    const [head, row] = table(['state', 'reason'], rows, { paint, width: 20 }).split('\n');
    assert.equal(head, 'state  reason');
    assert.equal(row, 'ok     a long reaso…');
    assert.equal(row!.length, 20);
  });

  it('keeps a cell with line feeds in its row', () => {
    assert.equal(table(['a'], [['one\n  two']], { paint, width: undefined }).split('\n').length, 2);
  });

  it('shows control characters instead of sending them; colours pass', () => {
    assert.equal(harmless('a\u001b]0;owned\u0007b\u001b[2J\r'), 'a\\x1b]0;owned\\x07b\\x1b[2J\\x0d');
    assert.equal(harmless('\u001b[31mred\u001b[39m\tand\n'), '\u001b[31mred\u001b[39m\tand\n');
  });

  it('prints one document and nothing else with --json', () => {
    const written: string[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        written.push(String(chunk));
        done();
      },
    }) as unknown as NodeJS.WriteStream;
    const output = new Output({
      json: true,
      color: true,
      stdout: stream,
      stderr: new Writable() as unknown as NodeJS.WriteStream,
    });
    output.line('a line of a log');
    output.result({ document: { a: '\u001b[2J' }, text: 'for people' });
    assert.deepEqual(JSON.parse(written.join('')), { a: '\u001b[2J' });
    assert.ok(!written.join('').includes('\u001b'));
  });
});
