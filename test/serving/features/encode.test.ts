import assert from 'node:assert/strict';
import type { HashedTextPreprocessing } from '../../../src/contracts/model.ts';
import { encodeFeatures, FeatureError } from '../../../src/serving/features/encode.ts';

const text: HashedTextPreprocessing = {
  kind: 'hashed-text',
  features: ['subject', 'body'],
  buckets: 1024,
  maxTokens: 8,
  wordNgrams: 2,
  version: 1,
};
const numeric = { kind: 'numeric' as const, features: ['x', 'flag'] };

describe('encodeFeatures', () => {
  it('pads ids to the longest row of the batch', () => {
    const { ids } = encodeFeatures(
      [
        { subject: 'one', body: '' },
        { subject: 'one two', body: 'three', unused: null },
      ],
      text,
    );
    assert.ok(ids?.type === 'int32');
    assert.deepEqual(ids.dims, [2, 4]);
    const [short, long] = [[...ids.data.subarray(0, 4)], [...ids.data.subarray(4)]];
    assert.equal(short[0], long[0]);
    assert.deepEqual(short.slice(1), [0, 0, 0]);
    assert.ok(long.every((id) => id > 0));
  });

  it('is one column wide when nothing has a token', () => {
    const { ids } = encodeFeatures([{ subject: '', body: '' }], text);
    assert.deepEqual(ids, { type: 'int32', data: new Int32Array(1), dims: [1, 1] });
  });

  it('puts numbers and booleans in the order of the signature', () => {
    const { features } = encodeFeatures([{ flag: true, x: 1.5 }], numeric);
    assert.deepEqual(features, { type: 'float32', data: Float32Array.of(1.5, 1), dims: [1, 2] });
  });

  const refused: [string, () => unknown, RegExp][] = [
    [
      'missing text',
      () => encodeFeatures([{ subject: 'x', body: 'y' }, { subject: 'x' }], text),
      /row 1.*"body".*miss/,
    ],
    ['text that is a number', () => encodeFeatures([{ subject: 1, body: '' }], text), /row 0.*"subject".*text.*1/],
    ['null text', () => encodeFeatures([{ subject: null, body: '' }], text), /"subject".*text.*null/],
    ['a number that is text', () => encodeFeatures([{ x: '1', flag: true }], numeric), /"x".*number.*string/],
    ['a number that is not finite', () => encodeFeatures([{ x: Number.NaN, flag: true }], numeric), /"x".*NaN/],
    [
      'an inherited property',
      () => encodeFeatures([{}], { kind: 'numeric', features: ['constructor'] }),
      /"constructor".*missing/,
    ],
  ];
  for (const [name, encode, message] of refused)
    it(`refuses ${name} by name`, () =>
      assert.throws(encode, (error) => {
        assert.ok(error instanceof FeatureError);
        assert.equal(error.type, 'InvalidInput');
        assert.match(error.message, message);
        return true;
      }));
});
