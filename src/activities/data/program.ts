import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import { allowedEnvironment } from '../../jobs/container-contract.ts';
import { type ProgramTools, resolveProgram } from '../../jobs/program.ts';
import { resolveSecrets, type SecretSource } from '../../jobs/secrets.ts';
import { badData } from '../failures.ts';

export interface ProgramDeps {
  tools: Pick<ProgramTools, 'node' | 'typeScriptLoader'>;
  secrets: SecretSource;
  hostEnvironment: Readonly<Record<string, string | undefined>>;
}

/** A row longer than this is a program that forgot its line ends. */
const longestLine = 16 * 2 ** 20;
const stderrTail = 4_000;

/**
 * Runs the data program: JSON lines on stdout from `--since <cursor>`, the last one `{"cursor": "..."}`. Calls `onRow` for
 * each line before it and returns the next cursor. A program that fails throws with the end of its stderr (retried: its
 * database may come back); one that breaks the contract is `BadData`.
 */
export async function runDataProgram(
  deps: ProgramDeps,
  { data, folder, since }: { data: LoopSpec['data']; folder: string; since: string },
  signal: AbortSignal,
  onRow: (value: unknown, lineNumber: number) => void | Promise<void>,
): Promise<string> {
  const [command, ...argv] = resolveProgram([...data.program, '--since', since], folder, deps.tools);
  const child = spawn(command!, argv, {
    cwd: folder,
    env: {
      ...allowedEnvironment(deps.hostEnvironment),
      ...(await resolveSecrets(data.env, deps.secrets)),
      ...plainOf(data.env),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr = (stderr + chunk).slice(-stderrTail);
  });
  const ended = new Promise<string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killedBy) =>
      resolve(code === 0 ? null : killedBy ? `was ended by ${killedBy}` : `ended with exit code ${code}`),
    );
  });
  // Without a listener an early spawn error would be an unhandled rejection while lines are awaited.
  ended.catch(() => undefined);

  let last: unknown;
  let lineNumber = 0;
  try {
    for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line === '') continue;
      if (line.length > longestLine)
        throw badData(`${data.program.join(' ')}: line ${lineNumber + 1} is longer than ${longestLine} characters`);
      if (lineNumber > 0) await onRow(last, lineNumber);
      lineNumber += 1;
      last = parseLine(line, lineNumber, data.program);
    }
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const failure = await ended;
  if (failure !== null)
    throw new Error(`the data program ${data.program.join(' ')} ${failure}: ${stderr.trim() || 'nothing on stderr'}`);
  const cursor = (last as { cursor?: unknown } | undefined)?.cursor;
  if (typeof cursor !== 'string' || cursor.length > 4_096)
    throw badData(`${data.program.join(' ')}: the last line must be {"cursor": "..."}, the --since of the next run`);
  return cursor;
}

function parseLine(line: string, lineNumber: number, program: readonly string[]): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    throw badData(`${program.join(' ')}: line ${lineNumber} is not JSON`);
  }
}

const plainOf = (env: LoopSpec['data']['env']): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
