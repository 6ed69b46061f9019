import assert from 'node:assert/strict';
import fc from 'fast-check';
import { canonicalBytes, canonicalJson, digestOf, parseJson } from '../../src/store/canonical-json.ts';
import { InvalidInput } from '../../src/store/errors.ts';
import { bytes } from './samples.ts';

describe('canonical JSON', () => {
  it('prints the example of RFC 8785, section 3.2', () => {
    const example = {
      numbers: JSON.parse('[333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001]') as number[],
      string: '€$\u000f\nA\'B"\\\\"/',
      literals: [null, true, false],
    };
    assert.equal(
      canonicalJson(example),
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it('sorts keys by UTF-16 code units, as RFC 8785, section 3.2.3', () => {
    const keys = ['€', '\r', '\ufb33', '1', '\ud83d\ude00', '\u0080', 'ö'];
    const text = canonicalJson(Object.fromEntries(keys.map((key) => [key, 0])));
    assert.equal(text, '{"\\r":0,"1":0,"\u0080":0,"ö":0,"€":0,"\ud83d\ude00":0,"\ufb33":0}');
  });

  it('gives equal values equal text, whatever the order of their keys, and loses nothing', () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }), (value) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'));
        const text = canonicalJson(value);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
        assert.equal(canonicalJson(reversed(value)), text);
        assert.equal(canonicalJson(JSON.parse(text)), text);
      }),
      { numRuns: 50, seed: 8785 },
    );
  });

  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  const refused: [string, unknown, RegExp][] = [
    ['NaN', { a: [1, Number.NaN] }, /^\$\.a\[1\]: .*NaN/],
    ['Infinity', { a: { b: Number.NEGATIVE_INFINITY } }, /^\$\.a\.b: .*-Infinity/],
    ['undefined', { a: undefined }, /^\$\.a: .*undefined/],
    ['a hole in an array', new Array(1), /^\$\[0\]: .*undefined/],
    ['a function', { toJSON: () => 1 }, /^\$\.toJSON: .*function/],
    ['a bigint', 1n, /bigint/],
    ['a symbol', Symbol('x'), /symbol/],
    ['a Date', { at: new Date(0) }, /^\$\.at: .*Date/],
    ['a Map', new Map(), /Map/],
    ['bytes', new Uint8Array(1), /Uint8Array/],
    ['a lone surrogate', ['\ud800'], /^\$\[0\]: .*surrogate/],
    ['a lone surrogate in a key', { '\udc00': 1 }, /surrogate/],
    ['a __proto__ key', JSON.parse('{"a":{"__proto__":1}}'), /^\$\.a: .*__proto__/],
    ['a cycle', cycle, /cycle/],
  ];
  for (const [name, value, message] of refused)
    it(`refuses ${name} and names its place`, () => {
      assert.throws(
        () => canonicalJson(value),
        (error: unknown) => {
          assert.ok(error instanceof InvalidInput);
          assert.match(error.message, message);
          return true;
        },
      );
    });

  it('takes objects without a prototype, and prints -0 as 0', () => {
    assert.equal(canonicalJson(Object.assign(Object.create(null) as object, { b: -0, a: '' })), '{"a":"","b":0}');
  });

  it('hashes as everybody does', () => {
    const ofAbc = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    assert.equal(digestOf('abc'), ofAbc);
    assert.equal(digestOf(bytes('abc')), ofAbc);
    assert.equal(digestOf(canonicalBytes({ b: 'ü', a: 1 })), digestOf('{"a":1,"b":"ü"}'));
  });

  for (const [name, body, message] of [
    ['bytes that are no UTF-8', new Uint8Array([0x22, 0xff, 0x22]), /^doc: expected UTF-8/],
    ['a __proto__ key', bytes('[{"__proto__":{"x":1}}]'), /^doc: .*__proto__/],
    ['half a document', bytes('{"a":'), /^doc: expected JSON/],
    ['nothing', new Uint8Array(), /^doc: expected JSON/],
  ] as const)
    it(`does not parse ${name}`, () => {
      assert.throws(
        () => parseJson(body, 'doc'),
        (error: unknown) => {
          return error instanceof InvalidInput && message.test(error.message);
        },
      );
    });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
}
