import assert from 'node:assert/strict';
import { isJobOf, parseJobKey } from '../../src/contracts/job-keys.ts';

describe('keys of jobs', () => {
  it('are those of a cycle or of a workload, with or without the attempt', () => {
    const read = (text: string) => {
      const { key, owner, attempt } = parseJobKey(text)!;
      return [key, owner, attempt];
    };
    assert.deepEqual(read('spam/3/train'), ['spam/3/train', 'spam', undefined]);
    assert.deepEqual(read('spam/3/train/12'), ['spam/3/train', 'spam', 12]);
    const simulate = 'workload/prices/monday/simulate';
    assert.deepEqual(read('prices/monday/simulate'), [simulate, 'prices/monday', undefined]);
    assert.deepEqual(read('prices/monday/simulate/2'), [simulate, 'prices/monday', 2]);
    assert.deepEqual(read(`${simulate}/2`), [simulate, 'prices/monday', 2]);
    // A key that is a number, and a loop that is named so.
    assert.deepEqual(read('workload/prices/3/simulate'), ['workload/prices/3/simulate', 'prices/3', undefined]);
    assert.deepEqual(read('workload/3/train/2'), ['workload/3/train', 'workload', 2]);
  });

  it('are nothing else', () => {
    for (const text of [
      '',
      'spam',
      'spam/3',
      'spam/3/train/0',
      'spam/3/3',
      '../../etc',
      'a/b/../c',
      'A/b/c',
      'a/b/c/d',
      '/a/b/c',
    ])
      assert.equal(parseJobKey(text), undefined, text);
  });

  it('belong to a loop, a workload, or one run of it', () => {
    const key = 'workload/prices/monday/simulate';
    assert.deepEqual(
      ['prices', 'prices/monday', 'workload/prices', 'price', 'prices/mon', 'monday'].map((owner) =>
        isJobOf(owner, key),
      ),
      [true, true, true, false, false, false],
    );
    assert.ok(isJobOf('spam', 'spam/3/train') && !isJobOf('spa', 'spam/3/train'));
  });
});
