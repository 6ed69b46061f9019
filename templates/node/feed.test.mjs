// `node --test` runs it: the data program keeps its contract on the CSV that is here.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const ask = (since) => {
  const env = { ...process.env, CSV: 'rows.csv', ID_COLUMN: '{{idColumn}}', TIME_COLUMN: '{{timeColumn}}' };
  const lines = execFileSync(process.execPath, ['feed.mjs', '--since', since], { encoding: 'utf8', env })
    .trim()
    .split('\n');
  return { rows: lines.slice(0, -1).map((line) => JSON.parse(line)), cursor: JSON.parse(lines.at(-1)).cursor };
};

test('every row has its id, its time and its label, and ids come once', () => {
  const { rows } = ask('');
  assert.ok(rows.length > 0);
  for (const row of rows) for (const name of ['$id', '$time', '{{label}}']) assert.ok(row[name] !== undefined, name);
  assert.equal(new Set(rows.map((row) => row.$id)).size, rows.length);
});

test('the cursor goes on where the last answer ended', () => {
  const { cursor } = ask('');
  assert.deepEqual(ask(cursor), { rows: [], cursor });
});
