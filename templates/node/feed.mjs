// Data program: the lines of a CSV file that came since. The file may grow; earlier lines stay as they are.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { since } = parseArgs({ options: { since: { type: 'string', default: '' } } }).values;
const { CSV = 'rows.csv', ID_COLUMN = '', TIME_COLUMN = '', TEXT_COLUMNS = '[]' } = process.env;
// A text may be empty, or look like a number.
const texts = new Set(JSON.parse(TEXT_COLUMNS));
const [names, ...lines] = records(readFileSync(CSV, 'utf8').replace(/^\uFEFF/, ''));
for (let n = Number(since); n < lines.length; n++) {
  const row = {};
  names.forEach((name, i) => {
    const cell = lines[n][i] ?? '';
    if (texts.has(name)) row[name] = cell;
    else if (cell !== '') row[name] = cell.trim() !== '' && Number.isFinite(Number(cell)) ? Number(cell) : cell;
  });
  row.$id = ID_COLUMN ? String(row[ID_COLUMN]) : `line-${n + 1}`;
  // Without a column of times the order of the lines is all that is known: one a minute.
  row.$time = TIME_COLUMN
    ? isoTime(String(row[TIME_COLUMN]))
    : new Date(Date.UTC(2000, 0, 1) + n * 60_000).toISOString();
  console.log(JSON.stringify(row));
}
console.log(JSON.stringify({ cursor: String(lines.length) }));

/** A time without its offset is taken as UTC. */
function isoTime(text) {
  const time = new Date(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) || /^\d{4}-\d\d-\d\d$/.test(text) ? text : `${text}Z`);
  if (Number.isNaN(time.getTime())) throw new Error(`${CSV}: expected a time in column ${TIME_COLUMN}, got ${text}`);
  return time.toISOString();
}

/** RFC 4180: commas, quotes doubled inside quotes; a last line without its end is not finished and waits. */
function records(text) {
  const all = [];
  let [record, cell, quoted] = [[], '', false];
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[i++];
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',' || c === '\n') {
      record.push(cell.replace(/\r$/, ''));
      cell = '';
      if (c === '\n') {
        if (record.some((part) => part !== '')) all.push(record);
        record = [];
      }
    } else cell += c;
  }
  return all;
}
