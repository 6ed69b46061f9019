import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface CommandResult {
  /** Undefined when it was killed. */
  code: number | undefined;
  stdout: string;
  stderr: string;
  /** It did not end in time and was killed; what it had asked for may still happen. */
  timedOut: boolean;
}

/** Runs one program: an argv array, a whole environment, no shell. Throws when there is no such program. */
export async function runCommand(
  argv: readonly [string, ...string[]],
  environment: Readonly<Record<string, string>>,
  withinMs: number,
  input = '',
): Promise<CommandResult> {
  const [command, ...rest] = argv;
  const child = spawn(command, rest, { env: environment, cwd: '/', stdio: ['pipe', 'pipe', 'pipe'] });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // EPIPE: it ended without reading; its exit code says why.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, withinMs);
  try {
    const [[code], stdout, stderr] = await Promise.all([closed, text(child.stdout), text(child.stderr)]);
    return { code: code ?? undefined, stdout, stderr, timedOut };
  } finally {
    clearTimeout(timer);
  }
}
