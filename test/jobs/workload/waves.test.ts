// biome-ignore-all lint/suspicious/noTemplateCurlyInString: places of a workload are written so
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { taskNumbers, tasksText } from '../../../src/contracts/workload-array.ts';
import { filledIn, withPlaces } from '../../../src/contracts/workload-places.ts';
import { cutIntoWaves, levelsOf, type Needs } from '../../../src/jobs/workload/waves.ts';

/** A DAG: each job needs some of those before it. */
const dag = fc
  .array(fc.array(fc.nat({ max: 30 }), { maxLength: 3 }), { minLength: 1, maxLength: 60 })
  .map((rows) =>
    Object.fromEntries(
      rows.map((back, i) => [
        `j${i}`,
        [...new Set(back.map((b) => i - 1 - b).filter((n) => n >= 0))].map((n) => `j${n}`),
      ]),
    ),
  );

describe('waves of a DAG', () => {
  it('hold every job once, are small enough, and need only earlier waves', () => {
    fc.assert(
      fc.property(dag, fc.integer({ min: 1, max: 20 }), (needs: Needs, max) => {
        const waves = cutIntoWaves(needs, max);
        assert.deepEqual(waves.flatMap(({ jobs }) => jobs).sort(), Object.keys(needs).sort());
        for (const [n, wave] of waves.entries()) {
          assert.ok(wave.jobs.length <= max && wave.jobs.length > 0);
          assert.ok(wave.needs.every((other) => other < n));
          for (const job of wave.jobs)
            for (const needed of needs[job]!) {
              const at = waves.findIndex(({ jobs }) => jobs.includes(needed));
              assert.ok(at === n || wave.needs.includes(at));
            }
        }
      }),
    );
  });

  it('keep what belongs together in one wave: a thousand chains of two need no barrier', () => {
    const needs = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, i) => [
        [`a${i}`, []],
        [`b${i}`, [`a${i}`]],
      ]).flat() as [string, string[]][],
    );
    const waves = cutIntoWaves(needs);
    assert.equal(waves.length, 10);
    assert.ok(waves.every((wave) => wave.needs.length === 0));
  });

  it('a chain of ten thousand is no recursion', () => {
    const needs = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`j${i}`, i === 0 ? [] : [`j${i - 1}`]]));
    assert.equal(levelsOf(needs).get('j9999'), 9_999);
    assert.equal(cutIntoWaves(needs).length, 50);
  });
});

describe('task numbers', () => {
  it('their text and they themselves say the same', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 500 }), { minLength: 1, maxLength: 200 }), (numbers) => {
        const sorted = [...numbers].sort((a, b) => a - b);
        assert.deepEqual(taskNumbers(tasksText(sorted)), sorted);
      }),
    );
  });
});

describe('places in a text', () => {
  it('what is filled in is never read again', () => {
    assert.equal(
      filledIn('a ${x} $${y} ${x}', () => '${y}$'),
      'a ${y}$ ${y} ${y}$',
    );
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '{', '}', 'a') }), fc.string(), (text, value) => {
        // "$" and a place would be read as a literal "${".
        const plain = text.replace(/\$+$/, '');
        const written = `${plain.replaceAll('${', () => '$${')}\${p}`;
        assert.equal(
          filledIn(written, () => value),
          `${plain}${value}`,
        );
        assert.equal(
          filledIn(
            withPlaces(written, (place) => `\${${place}}`),
            () => value,
          ),
          `${plain}${value}`,
        );
      }),
    );
  });
});
