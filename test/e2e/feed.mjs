import { readFileSync } from 'node:fs';

/** The data program of the end-to-end test: what was written to `rows.jsonl` since, line by line. */
if (!process.env.WAREHOUSE_TOKEN) throw new Error('WAREHOUSE_TOKEN is not set');
const since = Number(process.argv[process.argv.indexOf('--since') + 1]);
const lines = readFileSync('rows.jsonl', 'utf8')
  .split('\n')
  .filter((line) => line !== '');
for (const line of lines.slice(since)) console.log(line);
console.log(JSON.stringify({ cursor: String(lines.length) }));
