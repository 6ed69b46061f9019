import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../../../bin/goto3', import.meta.url));

export interface CliRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** An address where nothing listens: no server of this machine is ever asked by mistake. */
export const nowhere = '127.0.0.1:1';

/** Runs `bin/goto3` as a person's shell would, with nobody to ask, and waits for its end. */
export function runCli(
  home: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = { TEMPORAL_ADDRESS: nowhere },
): Promise<CliRun> {
  const child = spawn(process.execPath, [bin, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, GOTO3_HOME: home, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run: CliRun = { code: null, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    run.stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ ...run, code }));
  });
}

/** stdout is one JSON document and nothing else. */
export const documentOf = <T>({ stdout }: CliRun): T => JSON.parse(stdout) as T;
