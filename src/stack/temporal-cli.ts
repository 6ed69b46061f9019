import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Environment, readEnvironment } from './environment.ts';
import { tryLock } from './exclusive-lock.mjs';
import { findProgram, isExecutable, runProgram } from './programs.ts';
import { buildTemporalCli, downloadTemporalCli, type Log, temporalCliVersion } from './temporal-cli-sources.ts';

/** What the workflows need: the server of CLI 1.5.1. A CLI that was built by `go install` tells only its server. */
export const oldestServerVersion = '1.29.1';

export interface TemporalCli {
  readonly path: string;
  /** Of the CLI itself; 0.0.0-DEV when it was built without release flags. */
  readonly version: string;
  /** Of the server in it: what the database belongs to. */
  readonly serverVersion: string;
  readonly source: 'TEMPORAL_CLI' | 'PATH' | 'cache' | 'download' | 'go install';
}

/** No Temporal CLI could be had; the message says what was tried and the ways out. */
export class TemporalCliMissing extends Error {
  override readonly name = 'TemporalCliMissing';
}

/** Runs `<path> --version`. @throws Error when it is not a Temporal CLI, or its server is older than 1.29.1 */
export async function inspectTemporalCli(path: string): Promise<Omit<TemporalCli, 'source'>> {
  if (!isExecutable(path)) throw new Error(`${path} is not an executable file`);
  const { stdout } = await runProgram([path, '--version'], 10_000);
  const match = /^temporal version (\S+) \(Server (\d+\.\d+\.\d+)/m.exec(stdout);
  if (!match) throw new Error(`${path} is not a Temporal CLI: --version says ${JSON.stringify(stdout.slice(0, 80))}`);
  const [, version, serverVersion] = match as unknown as [string, string, string];
  if (isOlder(serverVersion, oldestServerVersion))
    throw new Error(`${path} has server ${serverVersion}; ${oldestServerVersion} or newer is needed`);
  return { path, version, serverVersion };
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]];
  const differs = a.findIndex((part, i) => part !== b[i]);
  return differs !== -1 && a[differs]! < b[differs]!;
}

export interface EnsureTemporalCliOptions {
  /** Takes one line of progress at a time. */
  readonly log: Log;
  readonly environment?: Environment;
  /** Tests close the network with it. */
  readonly download?: (folder: string, log: Log) => Promise<string>;
}

/**
 * A Temporal CLI that can serve: TEMPORAL_CLI, else `temporal` on PATH, else the cache, else the SDK's download, else
 * `go install`; the last two fill the cache. Any number of processes may ask at once: one fetches, the others wait.
 * @throws TemporalCliMissing
 */
export async function ensureTemporalCli(options: EnsureTemporalCliOptions): Promise<TemporalCli> {
  const environment = options.environment ?? readEnvironment();
  const tried: string[] = [];
  const found = await findTemporalCli(environment, tried);
  if (found) return found;
  // Asked for by name: another one in its place would be a surprise.
  if (environment.temporalCli !== undefined) throw missing(tried);
  return await fillCache(environment, options, tried);
}

/** The one on this machine, without fetching any; `tried` gets a line for each place that had none that can serve. */
export async function findTemporalCli(environment: Environment, tried: string[]): Promise<TemporalCli | undefined> {
  if (environment.temporalCli !== undefined) return inspectInto(tried, environment.temporalCli, 'TEMPORAL_CLI');
  tried.push('TEMPORAL_CLI: not set');
  const onPath = findProgram(environment.path, 'temporal');
  if (onPath === undefined) tried.push('PATH: there is no `temporal`');
  return (
    (onPath && (await inspectInto(tried, onPath, 'PATH'))) ||
    (await inspectInto(tried, cachedTemporalCli(environment), 'cache'))
  );
}

async function inspectInto(
  tried: string[],
  path: string,
  source: TemporalCli['source'],
): Promise<TemporalCli | undefined> {
  try {
    return { ...(await inspectTemporalCli(path)), source };
  } catch (error) {
    tried.push(`${source}: ${messageOf(error)}`);
    return undefined;
  }
}

export const cachedTemporalCli = ({ cacheFolder }: Environment): string => join(cacheFolder, 'bin', 'temporal');

async function fillCache(
  environment: Environment,
  { log, download = downloadTemporalCli }: EnsureTemporalCliOptions,
  tried: string[],
): Promise<TemporalCli> {
  const bin = join(environment.cacheFolder, 'bin');
  const target = cachedTemporalCli(environment);
  const release = await waitForLock(bin, log);
  try {
    const byOthers = isExecutable(target) && (await inspectInto(tried, target, 'cache'));
    if (byOthers) return byOthers;
    // A killed predecessor may have left its half.
    for (const left of readdirSync(bin)) if (left.startsWith('.fetch-')) rmSync(join(bin, left), { recursive: true });

    const folder = join(bin, `.fetch-${process.pid}`);
    const go = findProgram(environment.path, 'go');
    const sources: [TemporalCli['source'], () => Promise<string>][] = [
      ['download', () => download(folder, log)],
      [
        'go install',
        () => (go ? buildTemporalCli(go, folder, log) : Promise.reject(new Error('there is no `go` on PATH'))),
      ],
    ];
    try {
      for (const [source, fetch] of sources) {
        const fetched = await fetch().catch((error: unknown) => {
          tried.push(`${source}: ${messageOf(error)}`);
          log(`${source}: ${messageOf(error)}`);
        });
        if (!fetched || !(await inspectInto(tried, fetched, source))) continue;
        renameSync(fetched, target);
        log(`the Temporal CLI is in ${target}`);
        return { ...(await inspectTemporalCli(target)), source };
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    throw missing(tried);
  } finally {
    release();
  }
}

async function waitForLock(bin: string, log: Log): Promise<() => void> {
  mkdirSync(bin, { recursive: true });
  for (let told = false; ; told = true) {
    const lock = tryLock(bin, 'temporal');
    if (lock.acquired) return lock.release;
    if (!told) log(`process ${lock.holder.pid} is fetching the Temporal CLI; waiting for it`);
    await new Promise((wake) => setTimeout(wake, 200));
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const missing = (tried: readonly string[]): TemporalCliMissing =>
  new TemporalCliMissing(
    [
      `no Temporal CLI with server ${oldestServerVersion} or newer could be had:`,
      ...tried.map((line) => `  ${line}`),
      'Do one of these, then try again:',
      '  - install it so that `temporal` is on PATH: https://docs.temporal.io/cli/setup-cli',
      '  - export TEMPORAL_CLI=/path/to/temporal',
      `  - install Go 1.25 or newer (https://go.dev/dl); goto3 then builds the CLI ${temporalCliVersion} by itself`,
    ].join('\n'),
  );
