import assert from 'node:assert/strict';
import pc from 'picocolors';
import { diff } from '../../src/client/apply.ts';
import { diffLines } from '../../src/client/cli/commands/apply.ts';

describe('diff of two loop files', () => {
  it('names what changed, came and went, by its path', () => {
    const before = { loop: 'a', train: { epochs: 3, seed: 1 }, slices: ['x', 'y'], quantize: 'never' };
    const after = { loop: 'a', train: { epochs: 5, seed: 1 }, slices: ['y', 'x'], limits: { cycles: 1 } };
    assert.deepEqual(diff(before, after), [
      { field: 'limits', before: undefined, after: { cycles: 1 } },
      { field: 'quantize', before: 'never', after: undefined },
      { field: 'slices', before: ['x', 'y'], after: ['y', 'x'] },
      { field: 'train.epochs', before: 3, after: 5 },
    ]);
  });

  it('finds nothing in the same file, whatever the order of its keys', () => {
    assert.deepEqual(diff({ a: 1, b: { c: [1, { d: 2 }] } }, { b: { c: [1, { d: 2 }] }, a: 1 }), []);
  });

  it('reads as a diff does', () => {
    const lines = diffLines(diff({ a: 1, b: 2 }, { b: 3, c: ['x'] }), pc.createColors(false));
    assert.deepEqual(lines, ['- a: 1', '- b: 2', '+ b: 3', '+ c: ["x"]']);
  });
});
