import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DecodeError } from '../../src/workflows/decode.ts';
import * as messages from '../../src/workflows/messages.ts';

const decoders = Object.entries(messages).filter(([name]) => name.startsWith('decode')) as [
  string,
  (value: unknown, path: string) => unknown,
][];

describe('decoders of messages', () => {
  it('say which field is wrong and what was expected', () => {
    const good = { requestId: 'r', reason: 'x', by: 'ann' };
    const cases: [unknown, RegExp][] = [
      [null, /input: expected an object, got null/],
      [{ ...good, reason: 7 }, /input\.reason: expected text, got number/],
      [{ ...good, by: '' }, /input\.by: expected 1 to 256 characters/],
      [{ ...good, extra: 1 }, /input\.extra: unknown field/],
      [{ reason: 'x', by: 'ann' }, /input\.requestId: expected text, got undefined/],
    ];
    for (const [value, message] of cases) assert.throws(() => messages.decodeRequest(value, 'input'), message);
    assert.deepEqual(messages.decodeRequest(good, 'input'), good);
    assert.throws(() => messages.decodeSetSpec({ ...good, specDigest: 'latest' }, 'input'), /input\.specDigest/);
    assert.throws(
      () => messages.decodeRetryCycle({ ...good, resources: { gpus: 1.5 } }, 'input'),
      /input\.resources\.gpus: expected an integer/,
    );
  });

  it('throw a DecodeError or decode, and nothing else, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, withMap: true }),
        fc.constantFrom(...decoders),
        (value, [, decode]) => {
          try {
            decode(value, 'input');
          } catch (error) {
            assert.ok(error instanceof DecodeError);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
