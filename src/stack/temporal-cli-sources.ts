import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { formatDuration } from '../contracts/units.ts';
import { inheritedEnvironment } from './environment.ts';
import { tsxArgv } from './tsx.ts';

/** The release that is fetched when the machine has none; its server is 1.29.1. */
export const temporalCliVersion = '1.5.1';
export const goPackageVersion = `github.com/temporalio/cli/cmd/temporal@v${temporalCliVersion}`;
/** Go's own flags of the release build (.goreleaser.yml of the CLI); without the last, `--version` says 0.0.0-DEV. */
const goLinkerFlags = `-s -w -X github.com/temporalio/cli/temporalcli.Version=${temporalCliVersion}`;

/** A network that swallows packets gives no error; a real download goes on growing. */
const downloadStallMs = 15_000;
/** The largest package compiles and links well within this on one slow core. */
const goStallMs = 300_000;
const progressEveryMs = 10_000;

export type Log = (line: string) => void;

/**
 * The SDK's own download (temporal.download), into `folder`; gives the file's path.
 * @throws Error when the network is closed, or nothing arrives for 15 s
 */
export async function downloadTemporalCli(folder: string, log: Log): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const sizeBytes = (): number =>
    readdirSync(folder).reduce(
      (sum, file) => sum + (statSync(join(folder, file), { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
  log(`downloading the Temporal CLI ${temporalCliVersion}`);
  await runWatched({
    argv: tsxArgv(new URL('./temporal-download.ts', import.meta.url), folder, `v${temporalCliVersion}`),
    environment: {},
    stallMs: downloadStallMs,
    position: (lines) => lines + sizeBytes(),
    progress: (elapsed) => log(`${(sizeBytes() / 1e6).toFixed(0)} MB of the Temporal CLI, ${elapsed}`),
  });
  return join(folder, `temporal-v${temporalCliVersion}`);
}

/**
 * `go install` into `folder`, about 3 minutes on 2 cores, less with a warm build cache; gives the file's path.
 * @param go absolute path of the Go command
 */
export async function buildTemporalCli(go: string, folder: string, log: Log): Promise<string> {
  mkdirSync(folder, { recursive: true });
  log(`building the Temporal CLI ${temporalCliVersion} with ${go}; this takes about 3 minutes, once`);
  await runWatched({
    argv: [go, 'install', '-v', '-ldflags', goLinkerFlags, goPackageVersion],
    environment: { GOBIN: folder },
    stallMs: goStallMs,
    position: (lines) => lines,
    progress: (elapsed, lines) => log(`building the Temporal CLI: ${lines} packages, ${elapsed}`),
  });
  return join(folder, 'temporal');
}

interface WatchedRun {
  argv: readonly [string, ...string[]];
  environment: Readonly<Record<string, string>>;
  stallMs: number;
  /** Any number that moves while the program gets on; `lines` counts what it printed to stderr. */
  position(lines: number): number;
  progress(elapsed: string, lines: number): void;
}

/** Runs a program, tells its progress every 10 s, and ends it when it makes none for `stallMs`. */
function runWatched({ argv, environment, stallMs, position, progress }: WatchedRun): Promise<void> {
  return new Promise((resolve, reject) => {
    const [file, ...rest] = argv;
    const child = spawn(file, rest, { env: inheritedEnvironment(environment), stdio: ['ignore', 'ignore', 'pipe'] });
    const started = performance.now();
    let lines = 0;
    let lastLine = '';
    let stalled = false;
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines += 1;
      if (line.trim() !== '') lastLine = line.trim();
    });

    let seen = position(0);
    let movedAt = started;
    const watch = setInterval(() => {
      const at = position(lines);
      if (at !== seen) movedAt = performance.now();
      seen = at;
      if (performance.now() - movedAt < stallMs) return;
      stalled = true;
      child.kill('SIGKILL');
    }, 500);
    const talk = setInterval(() => progress(formatDuration(performance.now() - started), lines), progressEveryMs);

    const end = (error?: Error): void => {
      clearInterval(watch);
      clearInterval(talk);
      if (error) reject(error);
      else resolve();
    };
    child.on('error', end);
    child.on('close', (code, signal) => {
      if (code === 0) end();
      else if (stalled) end(new Error(`no progress for ${formatDuration(stallMs)}`));
      else end(new Error(lastLine || `ended with ${signal ?? `code ${code}`}`));
    });
  });
}
