import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FaultRow, rowsFolder } from '../test/faults/harness/fault-row.ts';

/** Puts what the last run of the fault tests measured (`.goto3/faults/*.json`) into the table of docs/reliability.md. */
const page = fileURLToPath(new URL('../docs/reliability.md', import.meta.url));
const [begin, end] = ['<!-- fault table: scripts/fault-table.ts -->', '<!-- end of fault table -->'];

const rows = readdirSync(rowsFolder)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => JSON.parse(readFileSync(join(rowsFolder, name), 'utf8')) as FaultRow);
if (rows.length === 0) throw new Error(`no rows in ${rowsFolder}: run the fault tests first`);

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const line = ({ fault, lost, runTwice, commandsTyped, secondsToContinue, note }: FaultRow): string =>
  `| ${[cell(fault), 'yes', lost, runTwice, commandsTyped, secondsToContinue, cell(note ?? '')].join(' | ')} |`;
const table = [
  '| fault | fired | lost | run twice | commands typed | seconds to continue | |',
  '| ----- | ----- | ---- | --------- | -------------- | ------------------- | - |',
  ...rows.map(line),
].join('\n');

const text = readFileSync(page, 'utf8');
const [from, to] = [text.indexOf(begin), text.indexOf(end)];
if (from < 0 || to < from) throw new Error(`${page}: expected the lines "${begin}" and "${end}"`);
writeFileSync(`${page}.writing`, `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`);
renameSync(`${page}.writing`, page);
console.log(`${rows.length} rows in ${page}`);
