import { type ChildProcess, spawn } from 'node:child_process';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import { allowedEnvironment } from '../../jobs/container-contract.ts';
import { whyNotRunnable } from '../../jobs/local/executables.ts';
import { type ProgramTools, resolveProgram, withPriority } from '../../jobs/program.ts';
import { resolveSecrets, type SecretSource } from '../../jobs/secrets.ts';
import { badData, dataProgramFailed, invalidInput } from '../failures.ts';
import { readLines, UnreadableLine } from './lines.ts';

export interface ProgramDeps {
  tools: ProgramTools;
  secrets: SecretSource;
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  /** A program that prints nothing for so long hangs, and is ended. Default 30 min: a database may take its time. */
  quietForMs?: number;
}

/** A row longer than this is a program that forgot its line ends. */
const longestLineBytes = 16 * 2 ** 20;
/**
 * What is kept of stderr, and what of it an error shows: the whole message has to fit into what a parked loop says of
 * itself. The difference hides secrets that the first cut would halve.
 */
const stderrKept = 64_000;
const stderrShown = 1_500;
const quietForMs = 30 * 60_000;
const lastWordsWithinMs = 2_000;

/**
 * Runs the data program: JSON lines on stdout from `--since <cursor>`, the last one `{"cursor": "..."}`. Calls `onRow` for
 * each line before it and returns the next cursor. The program and what it started are gone when this returns or throws.
 *
 * A program that fails is `DataProgramFailed` with the end of its stderr, without its secrets (retried: its database may
 * come back); one that breaks the contract is `BadData`; one that is not there is `InvalidInput`.
 */
export async function runDataProgram(
  deps: ProgramDeps,
  { data, folder, since }: { data: LoopSpec['data']; folder: string; since: string },
  signal: AbortSignal,
  onRow: (value: unknown, lineNumber: number) => void | Promise<void>,
): Promise<string> {
  const name = data.program.join(' ');
  const environment = allowedEnvironment(deps.hostEnvironment);
  const program = resolveProgram([...data.program, '--since', since], folder, deps.tools);
  const problem = whyNotRunnable(program[0]!, folder, environment.PATH ?? '');
  if (problem !== undefined) throw invalidInput(`the data program cannot be started: ${problem}`);
  const secrets = await resolveSecrets(data.env, deps.secrets);
  const plain = Object.entries(data.env).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value]] : []));

  signal.throwIfAborted();
  const [command, ...argv] = withPriority(program, 0, deps.tools);
  const child = spawn(command!, argv, {
    cwd: folder,
    env: { ...environment, ...secrets, ...Object.fromEntries(plain) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what it starts ends with it.
    detached: true,
  });
  const end = endOf(child);
  const stderr = tailOf(child.stderr!, stderrKept);
  let hangs = false;
  const quiet = setTimeout(() => {
    hangs = true;
    killGroup(child);
  }, deps.quietForMs ?? quietForMs);
  const stop = (): void => killGroup(child);
  signal.addEventListener('abort', stop);

  /** What it said besides, for whoever repairs it. */
  const lastWords = (): string => {
    const text = shown(stderr(), Object.values(secrets));
    return text === '' ? '' : `; it said: ${text}`;
  };
  let last: unknown;
  let lineNumber = 0;
  try {
    for await (const line of readLines(child.stdout!, longestLineBytes)) {
      quiet.refresh();
      if (lineNumber > 0) await onRow(last, lineNumber);
      lineNumber = line.number;
      last = parseJson(line.text, line.number);
    }
    const failure = await end;
    signal.throwIfAborted();
    if (hangs)
      throw dataProgramFailed(`the data program ${name} printed nothing for too long and was ended${lastWords()}`);
    if (failure !== null)
      throw dataProgramFailed(
        `the data program ${name} ${failure}: ${shown(stderr(), Object.values(secrets)) || 'nothing on stderr'}`,
      );
  } catch (error) {
    if (!(error instanceof UnreadableLine)) throw error;
    // What it said before may still be in the pipe; whoever has left its group may hold that open for ever.
    killGroup(child);
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, lastWordsWithinMs))]);
    throw badData(`${name}: ${error.message}${lastWords()}`);
  } finally {
    clearTimeout(quiet);
    signal.removeEventListener('abort', stop);
    killGroup(child);
  }
  const cursor = (last as { cursor?: unknown } | null | undefined)?.cursor;
  if (typeof cursor !== 'string' || cursor.length > 4_096)
    throw badData(`${name}: the last line must be {"cursor": "..."}, the --since of the next run${lastWords()}`);
  if (isBackwards(since, cursor))
    throw badData(
      `${name}: the cursor went back from ${since} to ${cursor}; rows would come again for ever${lastWords()}`,
    );
  return cursor;
}

const wholeNumber = /^\d{1,15}$/;
const isoTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z$/;

/** A cursor is the program's own business, but of two numbers, or two times, everybody sees which comes first. */
function isBackwards(since: string, cursor: string): boolean {
  if (wholeNumber.test(since) && wholeNumber.test(cursor)) return Number(cursor) < Number(since);
  return isoTime.test(since) && isoTime.test(cursor) && Date.parse(cursor) < Date.parse(since);
}

/** How it ended, in words, or null for exit code 0. What it leaves running must not hold its pipes open. */
function endOf(child: ChildProcess): Promise<string | null> {
  child.once('exit', () => killGroup(child));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`could not be started: ${error.message}`));
    child.once('close', (code, killedBy) =>
      resolve(code === 0 ? null : killedBy ? `was ended by ${killedBy}` : `ended with exit code ${code}`),
    );
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // ESRCH: nobody is left.
  }
}

function tailOf(stream: NodeJS.ReadableStream, length: number): () => string {
  let tail = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    tail = (tail + chunk).slice(-length);
  });
  return () => tail;
}

/** Programs like to quote the address that they could not reach, password and all. */
function shown(stderr: string, secrets: readonly string[]): string {
  let text = stderr;
  for (const secret of secrets.filter((value) => value !== '').sort((a, b) => b.length - a.length))
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)])
      text = text.replaceAll(form, '***');
  return text.trim().slice(-stderrShown);
}

function parseJson(line: string, lineNumber: number): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    throw new UnreadableLine(`line ${lineNumber} is not JSON`);
  }
}
