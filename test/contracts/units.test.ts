import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  formatDuration,
  formatSize,
  parseDuration,
  parsePoints,
  parseRelative,
  parseRequests,
  parseShare,
  parseSize,
  UnitError,
} from '../../src/contracts/units.ts';

describe('units', () => {
  it('read what people write', () => {
    assert.equal(parseDuration('500ms'), 500);
    assert.equal(parseDuration('1.5h'), 5_400_000);
    assert.equal(parseDuration('0s', { zero: true }), 0);
    assert.equal(parseSize('1GiB'), 2 ** 30);
    assert.equal(parseSize('1GB'), 1e9);
    assert.equal(parseShare('20%'), 0.2);
    assert.equal(parsePoints('2pt'), 0.02);
    assert.equal(parsePoints('-3pt'), -0.03);
    assert.equal(parseRelative('+50%'), 0.5);
    assert.equal(parseRequests('300 requests'), 300);
  });

  it('refuse the rest, and say what was expected', () => {
    for (const text of ['', '0s', '-5m', '1y', '5 minutes', '10', 'NaNs', '1e9s', '٣m', '1m ', '9999999999999d'])
      assert.throws(() => parseDuration(text), UnitError, text);
    for (const text of ['10XB', '0B', '-1GiB', '1 GiB', '1gib', '99999999TiB'])
      assert.throws(() => parseSize(text), UnitError, text);
    for (const text of ['120%', '-1%', '20', '20pt', '%']) assert.throws(() => parseShare(text), UnitError, text);
    for (const text of ['2%', '200pt', 'pt', '2']) assert.throws(() => parsePoints(text), UnitError, text);
    for (const text of ['0 requests', '300', '300requests', '-1 requests', '1e3 requests'])
      assert.throws(() => parseRequests(text), UnitError, text);
    assert.throws(() => parseDuration('5 minutes'), /"30s", "10m", "1h" or "7d", got "5 minutes"/);
  });

  it('never throw anything but a UnitError, and never give a number that is none', () => {
    const parsers = [parseDuration, parseSize, parseShare, parsePoints, parseRelative, parseRequests];
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[+-]?\d{0,20}(\.\d{0,5})?(ms|s|m|h|d|%|pt|GiB| requests)?$/)),
        fc.constantFrom(...parsers),
        (text, parse) => {
          try {
            assert.ok(Number.isFinite((parse as (text: string) => number)(text)));
          } catch (error) {
            assert.ok(error instanceof UnitError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('write durations and sizes for people', () => {
    assert.deepEqual([90, 1_500, 61_000, 90_061_000].map(formatDuration), ['90ms', '1.5s', '1m 1s', '1d 1h']);
    assert.deepEqual([0, 512, 1_572_864, 2 ** 34].map(formatSize), ['0 B', '512 B', '1.5 MiB', '16 GiB']);
  });
});
