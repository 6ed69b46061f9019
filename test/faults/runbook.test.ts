import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fences, readPage } from '../deploy/docs/page.ts';

const root = new URL('../../', import.meta.url);
const page = readPage('runbook.md');

/** Title and text of each incident. That its commands parse and its links lead somewhere, test/deploy/docs checks. */
const incidents = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({ title: text.slice(0, text.indexOf('\n')), text }));

describe('docs/runbook.md', () => {
  it('has ten incidents, each in the table of what one sees', () => {
    assert.equal(incidents.length, 10);
    const listed = page.split('\n').filter((line) => line.startsWith('| ') && line.includes('](#'));
    const anchors = listed.map((line) => /\]\(#([\w-]+)\)/.exec(line)?.[1]);
    assert.deepEqual(
      anchors,
      incidents.map(({ title }) => title.toLowerCase().replaceAll(' ', '-')),
    );
  });

  for (const { title, text } of incidents)
    it(`${title}: says what one sees and types, and names tests that are there`, () => {
      assert.match(text, /^\*\*You see\*\* /m);
      assert.match(text, /^\*\*You type\*\* /m);
      const typed = fences(text, 'sh').flatMap((fence) => fence.trim().split('\n'));
      assert.ok(typed.length > 0);
      for (const line of typed) assert.match(line, /^goto3 [a-z]/);
      const tests = [...text.matchAll(/^- `(test\/[\w./-]+\.test\.ts)`: "(.*)"$/gm)];
      assert.ok(tests.length > 0, 'no test');
      for (const [, file, name] of tests) {
        const source = readFileSync(new URL(file!, root), 'utf8');
        const isThere = [`'`, '"', '`'].some((quote) => source.includes(`it(${quote}${name}${quote}`));
        assert.ok(isThere, `${file} has no test "${name}"`);
      }
    });

  it('is where the alerts lead', () => {
    const alerts = readFileSync(new URL('docs/alerts.yml', root), 'utf8');
    const anchors = [...alerts.matchAll(/runbook: docs\/runbook\.md#([\w-]+)/g)].map(([, anchor]) => anchor!);
    assert.equal(anchors.length, [...alerts.matchAll(/- alert: /g)].length, 'every alert has an incident');
    const known = incidents.map(({ title }) => title.toLowerCase().replaceAll(' ', '-'));
    for (const anchor of anchors) assert.ok(known.includes(anchor), anchor);
  });
});
