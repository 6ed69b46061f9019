import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvocationBody } from '../../../src/contracts/endpoint.ts';
import { parseCsv } from '../../../src/serving/endpoint/http/csv.ts';
import { HttpProblem } from '../../../src/serving/endpoint/http/problem.ts';
import { decodeRows } from '../../../src/serving/endpoint/http/rows.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
const tooMany = (): Error => new Error('too many');

describe('rows of a body', () => {
  it('takes of JSON exactly what the contract takes', () => {
    const value = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.constant([1]));
    const name = fc.oneof(fc.constantFrom('x', 'features', 'instances'), fc.string());
    const row = fc.oneof(
      fc.dictionary(name, value, { maxKeys: 3 }),
      fc.record({ features: fc.array(value, { maxLength: 3 }) }),
      fc.json().map((text) => JSON.parse(text) as unknown),
    );
    const body = fc.oneof(row, fc.record({ instances: fc.array(row, { maxLength: 3 }) }));
    fc.assert(
      fc.property(body, (given) => {
        const text = JSON.stringify(given);
        const json = JSON.parse(text) as unknown;
        // A record of zod's has no way to carry this key.
        fc.pre(!text.includes('__proto__'));
        const expected = InvocationBody.safeParse(json).success;
        const decoded = ((): boolean => {
          try {
            decodeRows(bytes(text), { type: 'json' }, 10);
            return true;
          } catch (error) {
            assert.ok(error instanceof HttpProblem && error.status === 400);
            return false;
          }
        })();
        assert.equal(decoded, expected, text);
      }),
      { numRuns: 500, seed: 7 },
    );
  });

  it('takes rows by name and by place, one or several', () => {
    const rows = (text: string) => decodeRows(bytes(text), { type: 'json' }, 10);
    assert.deepEqual(rows('{"x": 1, "y": null}'), [{ x: 1, y: null }]);
    assert.deepEqual(rows('{"features": [1, "a"]}'), [{ values: [1, 'a'], columns: null }]);
    assert.deepEqual(rows('{"features": "a feature of this name"}'), [{ features: 'a feature of this name' }]);
    assert.deepEqual(rows('{"instances": [{"features": [1]}, {"x": 2}]}'), [{ values: [1], columns: null }, { x: 2 }]);
  });

  it('reads CSV as RFC 4180 writes it', () => {
    const cases: [string, string[][]][] = [
      [
        '1,2\r\n3,4\r\n',
        [
          ['1', '2'],
          ['3', '4'],
        ],
      ],
      [
        '1,2\n3,4',
        [
          ['1', '2'],
          ['3', '4'],
        ],
      ],
      ['a,', [['a', '']]],
      [',', [['', '']]],
      ['"a,b","say ""hi""","two\r\nlines"\n', [['a,b', 'say "hi"', 'two\r\nlines']]],
      ['\n\n1\n\n', [['1']]],
      ['""\n', [['']]],
      ['\ufeffx\n', [['x']]],
      ['a\rb\n', [['a\rb']]],
    ];
    for (const [text, expected] of cases) assert.deepEqual(parseCsv(text, 10, tooMany), expected, JSON.stringify(text));
    for (const bad of ['"a', '"a"b', '1\n"2"3'])
      assert.throws(() => parseCsv(bad, 10, tooMany), /quote/, JSON.stringify(bad));
    assert.throws(() => parseCsv(',\n'.repeat(11), 10, tooMany), /too many/);
    assert.throws(() => parseCsv(','.repeat(1_000_001), 10, tooMany), { status: 413 });
  });

  it('reads back whatever is written as CSV', () => {
    const field = fc.oneof(fc.string(), fc.constantFrom('', '"', ',', '\n', '\r\n', 'a"b'));
    const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
    const table = fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 5 });
    fc.assert(
      fc.property(table, (rows) => {
        const text = rows.map((row) => `${row.map(quoted).join(',')}\r\n`).join('');
        assert.deepEqual(parseCsv(text, 10, tooMany), rows);
      }),
      { seed: 3 },
    );
  });
});
