import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { StatsInputError } from '../../src/stats/errors.ts';
import { isHoldout, normaliseForHash, repeatedRows } from '../../src/stats/holdout.ts';

const hashOf = (features: Parameters<typeof normaliseForHash>[0]) =>
  createHash('sha256').update(normaliseForHash(features)).digest('hex');

describe('stats: hold-out', () => {
  it('keeps the stated share, and a larger share contains the smaller one', () => {
    let held = 0;
    for (let i = 0; i < 5000; i++) {
      const hash = createHash('sha256').update(String(i)).digest('hex');
      if (isHoldout(hash, 0.2)) {
        held++;
        assert.ok(isHoldout(hash, 0.25));
      }
      assert.equal(isHoldout(hash, 0), false);
      assert.equal(isHoldout(hash, 1), true);
      assert.equal(isHoldout(`sha256:${hash}`, 0.2), isHoldout(hash, 0.2));
    }
    assert.ok(held > 900 && held < 1100, `${held}`);
  });

  it('is stable: these rows stay where they are for ever', () => {
    const hash = hashOf({ subject: 'Your invoice 12345', body: 'Dear Ms Ng,\n pay  EUR 99.90 now!' });
    assert.equal(normaliseForHash({ b: 'pay  EUR 99.90 now!', a: 'Ms NG' }), 'ms ng\u001fpay eur 0 0 now');
    assert.equal(hash, hashOf({ body: 'dear ms ng pay eur 10.00 now', subject: 'your INVOICE: 7' }));
    assert.equal(
      Number.parseInt(hash.slice(0, 4), 16),
      Number.parseInt(hashOf({ subject: 'your invoice 0', body: 'dear ms ng pay eur 0 0 now' }).slice(0, 4), 16),
    );
  });

  it('tells rows apart by their numbers and by their words', () => {
    assert.notEqual(hashOf({ age: 34, income: 50_000 }), hashOf({ age: 35, income: 50_000 }));
    assert.notEqual(hashOf({ age: '34' }), hashOf({ age: '35' }));
    assert.notEqual(hashOf({ a: 'x', b: '' }), hashOf({ a: '', b: 'x' }));
    assert.notEqual(hashOf({ a: 'café' }), hashOf({ a: 'cafe' }));
    assert.notEqual(hashOf({ a: '東京' }), hashOf({ a: '大阪' }));
    assert.notEqual(hashOf({ a: null }), hashOf({ a: '' }));
  });

  it('ignores case, white space, punctuation and column order of any text', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 6 }), (words) => {
        const plain = normaliseForHash({ t: words.join(' ') });
        assert.equal(normaliseForHash({ t: `  ${words.join(' -- ').toUpperCase()}!\n` }), plain);
        assert.equal(normaliseForHash({ t: plain }), plain);
      }),
    );
  });

  it('refuses what is no SHA-256, since one constant hash would hold out all or nothing', () => {
    for (const hash of ['', 'abc', 'f'.repeat(63), 'F'.repeat(64), `md5:${'0'.repeat(64)}`])
      assert.throws(() => isHoldout(hash, 0.2), StatsInputError);
    for (const share of [-0.1, 1.1, Number.NaN]) assert.throws(() => isHoldout('0'.repeat(64), share), StatsInputError);
  });

  it('counts the rows that repeat another', () => {
    assert.equal(repeatedRows(['a', 'b', 'a', 'a']), 2);
    assert.equal(repeatedRows([]), 0);
  });
});
