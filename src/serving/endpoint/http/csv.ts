import { HttpProblem, invalid } from './problem.ts';

/** An empty field is a byte in a body and a hundred in memory. */
const mostFields = 1_000_000;

/**
 * RFC 4180: fields separated by commas, lines by CRLF or LF, quotes around fields that hold either, doubled inside. Lines
 * without any character are skipped. @throws HttpProblem 400 that names the line
 */
export function parseCsv(text: string, maxRows: number, tooMany: () => Error): string[][] {
  const rows: string[][] = [];
  let fields = 0;
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  while (at < text.length) {
    const row: string[] = [];
    const startsAt = at;
    for (let more = true; more; ) {
      const field = text[at] === '"' ? quoted(text, at, rows.length) : plain(text, at);
      row.push(field.value);
      if (++fields > mostFields)
        throw new HttpProblem(413, 'BodyTooLarge', `the body has more than ${mostFields} fields`);
      more = text[field.end] === ',';
      at = field.end + 1;
      if (text[field.end] === '\r' && text[at] === '\n') at += 1;
      // A comma at the very end of the body is followed by an empty field.
      if (more && at >= text.length) {
        row.push('');
        more = false;
      }
    }
    const isEmptyLine = row.length === 1 && row[0] === '' && text[startsAt] !== '"';
    if (isEmptyLine) continue;
    if (rows.push(row) > maxRows) throw tooMany();
  }
  return rows;
}

function plain(text: string, start: number): { value: string; end: number } {
  let end = start;
  while (end < text.length && !isSeparator(text, end)) end += 1;
  return { value: text.slice(start, end), end };
}

function quoted(text: string, start: number, line: number): { value: string; end: number } {
  let value = '';
  for (let at = start + 1; ; ) {
    const close = text.indexOf('"', at);
    if (close < 0) throw invalid(`body, row ${line}: a quote is not closed`);
    value += text.slice(at, close);
    if (text[close + 1] === '"') {
      value += '"';
      at = close + 2;
      continue;
    }
    if (close + 1 < text.length && !isSeparator(text, close + 1))
      throw invalid(`body, row ${line}: expected a comma or the end of the line after a closing quote`);
    return { value, end: close + 1 };
  }
}

const isSeparator = (text: string, at: number): boolean => {
  const unit = text.charCodeAt(at);
  return unit === 0x2c || unit === 0x0a || (unit === 0x0d && text.charCodeAt(at + 1) === 0x0a);
};
