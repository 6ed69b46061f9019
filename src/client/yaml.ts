import { isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } from 'yaml';
import { InvalidFile } from './errors.ts';

/** Our files need 6 levels. Within some thousands the parser takes seconds, then the process dies (yaml 2.9.1). */
const deepest = 64;
const widestIndent = 2 * deepest;

/**
 * A mapping as plain YAML 1.2: no aliases, tags or second documents, so there is nothing to expand, and no key that becomes
 * a prototype. @throws InvalidFile
 */
export function parseYaml(what: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new InvalidFile(what, ['expected UTF-8 text']);
  }
  if (isTooDeep(text)) throw new InvalidFile(what, [`nested too deeply: expected at most ${deepest} levels`]);
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
    merge: false,
    prettyErrors: true,
    // Not 'silent': then a second document would be passed over.
    logLevel: 'error',
  });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new InvalidFile(what, [sentence(problem.message)]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    throw new InvalidFile(what, ['anchors and aliases are not supported: write the value out']);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidFile(what, ['expected a mapping such as "apiVersion: goto3/v1"']);
  refusePrototypes(what, value, []);
  return value as Record<string, unknown>;
}

/** By the tokens alone, which are read lazily: brackets that are open, and indicators and indentation of one line. */
function isTooDeep(text: string): boolean {
  const scalarFollows = '\u001f';
  let [brackets, indicators, lineStart, skip] = [0, 0, true, false];
  for (const token of new Lexer().lex(text)) {
    if (skip) skip = false;
    else if (token === scalarFollows) skip = true;
    else if (token === '[' || token === '{') brackets += 1;
    else if (token === ']' || token === '}') brackets -= 1;
    else if (token === '-' || token === '?') indicators += 1;
    else if (token.endsWith('\n')) indicators = 0;
    if (brackets + indicators > deepest || (lineStart && /^ +$/.test(token) && token.length > widestIndent))
      return true;
    lineStart = token.endsWith('\n');
  }
  return false;
}

const sentence = (message: string): string =>
  message.includes('multiple documents') ? 'expected one document: no second one after "---"' : message.split('\n')[0]!;

function refusePrototypes(what: string, value: unknown, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__')
      throw new InvalidFile(what, [`${[...path, key].join('.')}: not a name that a file may use`]);
    refusePrototypes(what, member, [...path, key]);
  }
}

/**
 * Place of a field in a file that `parseYaml` has taken: of its key in a mapping, of the element in a list. Where there is no
 * such field, the place of what it belongs to; undefined for the file itself. Both count from 1.
 */
export function placeFinder(
  bytes: Uint8Array,
): (path: readonly PropertyKey[]) => { line: number; column: number } | undefined {
  const lineCounter = new LineCounter();
  const text = new TextDecoder().decode(bytes);
  const { contents } = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    uniqueKeys: false,
    lineCounter,
    logLevel: 'silent',
  });
  return (path) => {
    let node: unknown = contents;
    let offset: number | undefined;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
        if (!pair) break;
        offset = isScalar(pair.key) ? pair.key.range?.[0] : offset;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(step)];
        offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
      } else break;
    }
    if (offset === undefined) return undefined;
    const { line, col } = lineCounter.linePos(offset);
    return { line, column: col };
  };
}
