import { UnitError } from '../../contracts/units.ts';
import { type OptionRule, optionRules, type SbatchOptions, shortNames } from './options.ts';
import { directiveLines, type Place, type ScriptProblem, type Word } from './tokens.ts';

export interface SbatchScript {
  /** What the first line names: an absolute program and at most one argument. */
  interpreter: string[];
  options: SbatchOptions;
  /** Directives that have no effect here, and why. */
  notes: (Place & { option: string; message: string })[];
}

/** Slurm's own limit (slurm.conf, SchedulerParameters=max_script_size). */
const largestScriptBytes = 4 * 2 ** 20;
const longestLine = 64 * 1024;

/**
 * Reads an `#SBATCH` script as it is; its text is not changed. Every directive passes an allow-list, in name and in value.
 * Pure. Returns all problems, each with its place; with one problem nothing may be submitted.
 */
export function parseSbatchScript(bytes: Uint8Array): { script: SbatchScript } | { problems: ScriptProblem[] } {
  const text = textOf(bytes);
  if (typeof text !== 'string') return { problems: [text] };
  const lines = text.split('\n');
  const problems: ScriptProblem[] = [];
  const script: SbatchScript = { interpreter: [], options: {}, notes: [] };
  const first = lines[0]!;
  const [, program, argument] = /^#!\s*(\/[A-Za-z0-9._/+-]+)(?:[ \t]+([A-Za-z0-9._/+=-]+))?[ \t]*$/.exec(first) ?? [];
  if (program === undefined)
    problems.push({ line: 1, column: 1, message: 'expected a first line such as "#!/bin/bash"' });
  else script.interpreter = argument === undefined ? [program] : [program, argument];

  const seen = new Map<string, number>();
  for (const { words, problem } of directiveLines(lines)) {
    if (problem) problems.push(problem);
    else
      for (const { option, rule, value, word } of optionsOf(words, problems)) {
        const before = seen.get(option);
        if (before !== undefined)
          problems.push({ ...placeOf(word), message: `--${option} is given in line ${before} already` });
        seen.set(option, word.line);
        try {
          Object.assign(script.options, rule.read(value));
          if (rule.note !== undefined) script.notes.push({ ...placeOf(word), option, message: rule.note });
        } catch (error) {
          if (!(error instanceof UnitError)) throw error;
          problems.push({ ...placeOf(word), message: `--${option}: ${error.message}` });
        }
      }
  }
  return problems.length > 0 ? { problems } : { script };
}

const placeOf = ({ line, column }: Place): Place => ({ line, column });

function textOf(bytes: Uint8Array): string | ScriptProblem {
  if (bytes.length > largestScriptBytes)
    return { line: 1, column: 1, message: `expected at most ${largestScriptBytes} bytes, has ${bytes.length}` };
  let [line, start] = [1, 0];
  for (const [i, byte] of bytes.entries()) {
    const here = { line, column: i - start + 1 };
    if (byte === 0) return { ...here, message: 'expected text without NUL' };
    if (byte === 0x0d)
      return { ...here, message: 'expected Unix line ends: this line ends as DOS writes them (CR LF)' };
    if (i - start > longestLine) return { ...here, message: `expected lines of at most ${longestLine} bytes` };
    if (byte === 0x0a) [line, start] = [line + 1, i + 1];
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return { line: 1, column: 1, message: 'expected UTF-8 text' };
  }
}

interface FoundOption {
  option: string;
  rule: OptionRule;
  value: string;
  word: Word;
}

/** `--name=value`, `--name value`, `-Nvalue`, `-N value`. */
function optionsOf(words: readonly Word[], problems: ScriptProblem[]): FoundOption[] {
  const found: FoundOption[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    const [, long, given] = /^--([a-z][a-z-]*)(?:=([\s\S]*))?$/.exec(word.text) ?? [];
    const [, short, attached] = long === undefined ? (/^-([A-Za-z])([\s\S]*)$/.exec(word.text) ?? []) : [];
    const option = long ?? shortNames[short ?? ''];
    const rule = option !== undefined && Object.hasOwn(optionRules, option) ? optionRules[option] : undefined;
    if (option === undefined || !rule) {
      problems.push({
        ...placeOf(word),
        message: `${JSON.stringify(word.text.slice(0, 80))}: not an option that a script may have`,
      });
      continue;
    }
    let value = given ?? (attached === '' ? undefined : attached);
    if (value === undefined && rule.value === 'required') value = words[++i]?.text;
    if (value === undefined && rule.value === 'required') {
      problems.push({ ...placeOf(word), message: `--${option}: expected a value` });
      continue;
    }
    if (value !== undefined && rule.value === 'none') {
      problems.push({ ...placeOf(word), message: `--${option}: expected no value` });
      continue;
    }
    found.push({ option, rule, value: value ?? '', word });
  }
  return found;
}
