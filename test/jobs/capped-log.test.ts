import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CappedLog } from '../../src/jobs/local/capped-log.ts';

describe('a capped log', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-log-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const written = (capBytes: number, chunks: readonly Buffer[]): string => {
    const log = new CappedLog(join(folder, 'log'), capBytes);
    for (const chunk of chunks) log.write(chunk);
    log.end();
    return readFileSync(join(folder, 'log'), 'utf8');
  };

  it('below its cap holds the bytes as they came', () => {
    const bytes = Buffer.from('zażółć 🎉\nend');
    assert.equal(written(100, [bytes.subarray(0, 12), bytes.subarray(12)]), 'zażółć 🎉\nend');
  });

  it('above it keeps the beginning and the last lines, says so, and cuts no character', () => {
    const text = `${'🎉'.repeat(5)}\n${'x\n'.repeat(100_000)}the cause\n`;
    const log = written(10, [Buffer.from(text)]);
    const lines = log.split('\n');
    assert.equal(lines[0], '🎉🎉');
    assert.match(lines[1]!, /^\[goto3\] output is capped at 10 B/);
    assert.match(lines[2]!, /^\[goto3\] 195 KiB were dropped; the last lines:$/);
    assert.deepEqual(lines.slice(-2), ['the cause', '']);
    assert.ok(!log.includes('\ufffd') && log.length < 70_000);
  });

  it('repeats nothing when little was dropped', () => {
    assert.deepEqual(written(4, [Buffer.from('abcd'), Buffer.from('efg\n')]).split('\n'), [
      'abcd',
      '[goto3] output is capped at 4 B; what follows is dropped, its last lines come at the end',
      '[goto3] 4 B were dropped; the last lines:',
      'efg',
      '',
    ]);
  });
});
