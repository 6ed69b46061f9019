import { execFile } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

/** The first executable file of that name in the folders of PATH. */
export function findProgram(path: readonly string[], name: string): string | undefined {
  return path.map((folder) => join(folder, name)).find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

export interface ProgramOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end and collects what it prints, up to 4 MiB.
 * @throws Error with the end of its stderr when it fails, is not there, or runs longer than `timeoutMs`
 */
export function runProgram(argv: readonly [string, ...string[]], timeoutMs: number): Promise<ProgramOutput> {
  return new Promise((resolve, reject) => {
    const [file, ...rest] = argv;
    execFile(
      file,
      rest,
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 4 * 2 ** 20 },
      (error, stdout, stderr) => {
        if (!error) return resolve({ stdout, stderr });
        const said = stderr.trim().split('\n').slice(-3).join(' ');
        const how = error.killed ? `did not end within ${timeoutMs} ms` : `failed (${error.code ?? error.signal})`;
        reject(new Error(`${argv.join(' ')} ${how}${said ? `: ${said}` : ''}`, { cause: error }));
      },
    );
  });
}
