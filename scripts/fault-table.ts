import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type FaultRow, rowsFolder } from '../test/faults/harness/fault-row.ts';

/**
 * Puts what the last run of the fault tests measured (`.goto3/faults/*.json`) into the table of docs/reliability.md. A fault
 * that it did not try keeps its row. `--page <file>`: another page with the same table.
 */
const { values } = parseArgs({ options: { page: { type: 'string' } } });
const page = values.page ?? fileURLToPath(new URL('../docs/reliability.md', import.meta.url));
const [begin, end] = ['<!-- fault table: scripts/fault-table.ts -->', '<!-- end of fault table -->'];

const rows = readdirSync(rowsFolder)
  .filter((name) => name.endsWith('.json'))
  .sort()
  .map((name) => JSON.parse(readFileSync(join(rowsFolder, name), 'utf8')) as FaultRow);
if (rows.length === 0) throw new Error(`no rows in ${rowsFolder}: run the fault tests first`);

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const line = ({ fault, lost, runTwice, commandsTyped, secondsToContinue, note }: FaultRow): string =>
  `| ${[cell(fault), 'yes', lost, runTwice, commandsTyped, secondsToContinue, cell(note ?? '')].join(' | ')} |`;
const text = readFileSync(page, 'utf8');
const [from, to] = [text.indexOf(begin), text.indexOf(end)];
if (from < 0 || to < from) throw new Error(`${page}: expected the lines "${begin}" and "${end}"`);
const header = [
  '| fault | fired | lost | run twice | commands typed | seconds to continue | |',
  '| ----- | ----- | ---- | --------- | -------------- | ------------------- | - |',
];
const nameOf = (row: string): string => row.split(' | ')[0]!;
const measured = rows.map(line);
const kept = text
  .slice(from, to)
  .split('\n')
  .filter((row) => row.startsWith('| ') && !header.includes(row))
  .filter((row) => !measured.some((other) => nameOf(other) === nameOf(row)));
const table = [...header, ...[...kept, ...measured].sort((a, b) => nameOf(a).localeCompare(nameOf(b), 'en'))].join(
  '\n',
);

writeFileSync(`${page}.writing`, `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`);
renameSync(`${page}.writing`, page);
console.log(`${rows.length} rows measured, ${kept.length} kept in ${page}`);
