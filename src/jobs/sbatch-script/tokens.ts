/** A place in a script; both count from 1. */
export interface Place {
  line: number;
  column: number;
}

export interface ScriptProblem extends Place {
  message: string;
}

/** One word of a directive line, with quotes taken off. */
export interface Word extends Place {
  text: string;
}

export interface DirectiveLine {
  words: Word[];
  problem?: ScriptProblem;
}

const mark = '#SBATCH';

/**
 * Words of the `#SBATCH` lines, which end at the first line that is a command (sbatch(1)). As sbatch reads them: quotes
 * hold blanks together, a backslash takes the next character as it is, `#` after a blank begins a comment.
 */
export function directiveLines(lines: readonly string[]): DirectiveLine[] {
  const found: DirectiveLine[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.startsWith(mark) && /^$|\s/.test(line.charAt(mark.length))) found.push(wordsOf(line, i + 1));
    else if (line.trim() !== '' && !line.startsWith('#')) break;
  }
  return found;
}

function wordsOf(line: string, number: number): DirectiveLine {
  const words: Word[] = [];
  let word: Word | undefined;
  let quote: { character: string; column: number } | undefined;
  for (let i = mark.length; i < line.length; i++) {
    const character = line[i]!;
    const here = { line: number, column: i + 1 };
    if (quote) {
      if (character === quote.character) quote = undefined;
      else word!.text += character === '\\' && quote.character === '"' && i + 1 < line.length ? line[++i] : character;
      continue;
    }
    if (character === ' ' || character === '\t') {
      word = undefined;
      continue;
    }
    if (character === '#' && word === undefined) break;
    if (!word) {
      word = { ...here, text: '' };
      words.push(word);
    }
    if (character === '"' || character === "'") quote = { character, column: i + 1 };
    else word.text += character === '\\' && i + 1 < line.length ? line[++i] : character;
  }
  return quote
    ? { words, problem: { line: number, column: quote.column, message: `expected a second ${quote.character}` } }
    : { words };
}
