import { existsSync, readFileSync, renameSync } from 'node:fs';
import { z } from 'zod';
import { writeFileAtomic } from './atomic-file.ts';
import type { ChildSpec } from './child-spec.ts';
import type { StateLayout } from './layout.ts';
import type { TemporalCli } from './temporal-cli.ts';

export const temporalChild = 'temporal';

/**
 * By default the dev server looks at its queues 20 times a second, which costs about 45 ms a hop after a short burst: 100
 * sequential activities took 9 to 10 s, with these values 1.6 to 1.9 s (DESIGN §6).
 */
const pollsPerSecond = 2_000;
const dynamicConfig: Readonly<Record<string, string>> = {
  'history.transferProcessorMaxPollRPS': String(pollsPerSecond),
  'history.timerProcessorMaxPollRPS': String(pollsPerSecond),
  'history.visibilityProcessorMaxPollRPS': String(pollsPerSecond),
  // No calls to the outside; the SDK's test server sets it too.
  'frontend.enableServerVersionCheck': 'false',
};

export interface TemporalServerOptions {
  readonly cli: Pick<TemporalCli, 'path' | 'serverVersion'>;
  readonly layout: StateLayout;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
  /** Every commit reaches the disk: survives a power cut too. Without it `kill -9` loses nothing, a power cut may. */
  readonly fsync: boolean;
}

/** The embedded Temporal server as a child of the stack. Call `claimDatabase` before it is started. */
export function temporalServerSpec(options: TemporalServerOptions): ChildSpec {
  const { cli, layout, port, uiPort, namespace, fsync } = options;
  return {
    name: temporalChild,
    argv: [
      cli.path,
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort)],
      // `default` is always there.
      ...(namespace === 'default' ? [] : ['--namespace', namespace]),
      ...['--db-filename', layout.database],
      ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', `synchronous=${fsync ? 'FULL' : 'NORMAL'}`],
      ...['--log-format', 'json', '--log-level', 'warn'],
      ...Object.entries(dynamicConfig).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
    ],
    env: {},
    cwd: layout.home,
    readiness: { kind: 'grpc', address: `127.0.0.1:${port}` },
    stopSignal: 'SIGTERM',
    graceMs: 10_000,
    after: [],
    stopWave: 3,
    code: cli.serverVersion,
    ports: [port, uiPort],
  };
}

/** The database was written by another server version; the message has the commands that go on. */
export class DatabaseVersionMismatch extends Error {
  override readonly name = 'DatabaseVersionMismatch';
}

const Stamp = z.strictObject({ schema: z.literal('goto3/database/v1'), serverVersion: z.string() });

function readStamp(layout: StateLayout): string | undefined {
  if (!existsSync(layout.databaseStamp)) return undefined;
  try {
    return Stamp.parse(JSON.parse(readFileSync(layout.databaseStamp, 'utf8'))).serverVersion;
  } catch {
    return 'unknown';
  }
}

/**
 * Notes which server version writes the database, before the first start. The dev server makes its schema only in a new
 * file and has no migration, so that another version would fail later and in stranger ways.
 * @throws DatabaseVersionMismatch
 */
export function claimDatabase(layout: StateLayout, serverVersion: string): void {
  const stamped = readStamp(layout) ?? (existsSync(layout.database) ? 'unknown' : undefined);
  if (stamped === serverVersion) return;
  if (stamped !== undefined)
    throw new DatabaseVersionMismatch(
      [
        `the Temporal database in ${layout.temporal} belongs to server version ${stamped}, this Temporal CLI has server ${serverVersion}. Either`,
        `  TEMPORAL_CLI=/path/to/that/temporal goto3 up   to go on with the version that wrote it, or`,
        '  goto3 up --fresh                               to move it aside and start with an empty one; loops go on from',
        '                                                 the store: same numbering, same champion, no job again',
      ].join('\n'),
    );
  const stamp: z.infer<typeof Stamp> = { schema: 'goto3/database/v1', serverVersion };
  writeFileAtomic(layout.databaseStamp, `${JSON.stringify(stamp)}\n`);
}

/** Moves the database of a stopped server aside; gives its new folder, or undefined when there was none. */
export function moveDatabaseAside(layout: StateLayout): string | undefined {
  if (!existsSync(layout.temporal)) return undefined;
  const time = new Date().toISOString().replaceAll(':', '-');
  const target = `${layout.temporal}-${readStamp(layout) ?? 'unknown'}-${time}`;
  renameSync(layout.temporal, target);
  return target;
}
