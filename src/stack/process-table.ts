import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileAtomic } from './atomic-file.ts';
import { type ChildSpec, Readiness, specHash } from './child-spec.ts';
import type { StateLayout } from './layout.ts';

/**
 * What `up` leaves on disk about each child, so that the next `up`, `down` and `status` find it again after a `kill -9`.
 * One file a child, replaced by rename.
 */
export const ChildRecord = z.strictObject({
  schema: z.literal('goto3/child/v1'),
  name: z.string().min(1),
  specHash: z.string(),
  /** In the child's environment as GOTO3_CHILD; finds a child whose `up` died before it could note the pid. */
  token: z.string().min(1),
  /** Null from just before the start until the pid is known. */
  process: z.nullable(z.strictObject({ pid: z.number().int().positive(), startTime: z.string(), bootId: z.string() })),
  /** ISO. */
  startedAt: z.string(),
  /** Starts after a death, over the life of this record. */
  restarts: z.number().int().nonnegative(),
  argv: z.array(z.string()).min(1),
  ports: z.array(z.number().int()),
  log: z.string(),
  readiness: Readiness,
  stopSignal: z.custom<NodeJS.Signals>((signal) => typeof signal === 'string' && signal.startsWith('SIG')),
  graceMs: z.number().nonnegative(),
  stopWave: z.number().int(),
});
export type ChildRecord = z.infer<typeof ChildRecord>;

/** For a start that is about to happen: no process yet. */
export function newRecord(layout: StateLayout, spec: ChildSpec, restarts: number): ChildRecord {
  return {
    schema: 'goto3/child/v1',
    name: spec.name,
    specHash: specHash(spec),
    token: randomUUID(),
    process: null,
    startedAt: new Date().toISOString(),
    restarts,
    argv: [...spec.argv],
    ports: [...spec.ports],
    log: join(layout.logs, `${spec.name}.log`),
    readiness: spec.readiness,
    stopSignal: spec.stopSignal,
    graceMs: spec.graceMs,
    stopWave: spec.stopWave,
  };
}

const recordFile = (folder: string, name: string): string => join(folder, `${name}.json`);

export function writeRecord(folder: string, record: ChildRecord): void {
  writeFileAtomic(recordFile(folder, record.name), `${JSON.stringify(record, undefined, 2)}\n`);
}

export function removeRecord(folder: string, name: string): void {
  rmSync(recordFile(folder, name), { force: true });
}

/**
 * All records, by name. Throws when one cannot be read: its child may be alive, and to start a second one in its place is
 * worse than to ask.
 */
export function readTable(folder: string): ChildRecord[] {
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return files
    .filter((file) => file.endsWith('.json') && !file.startsWith('.'))
    .sort()
    .map((file) => {
      const path = join(folder, file);
      try {
        return ChildRecord.parse(JSON.parse(readFileSync(path, 'utf8')));
      } catch (error) {
        throw new Error(
          `${path} is not a process record (${error instanceof z.ZodError ? z.prettifyError(error) : error}). ` +
            'End the process that it describes, if it lives, then remove the file.',
          { cause: error },
        );
      }
    });
}
