import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { canonicalBytes } from '../canonical-json.ts';
import { InvalidInput } from '../errors.ts';
import { CaptureLogs } from '../logs/captures/log.ts';
import { captureUpkeep } from '../logs/captures/upkeep.ts';
import { hasCode, type LogMedium } from '../logs/files.ts';
import { RefLogs } from '../logs/refs.ts';
import type { KeptStore } from '../upkeep.ts';
import { FsBlobStore } from './blobs.ts';
import { type FsOps, nodeFs, withoutSync, withTypedFailures } from './fs-ops.ts';
import { NumberedFiles } from './numbered-files.ts';
import { Staging } from './staging.ts';

/** `fsync`: what was acknowledged survives a power cut. `fast`: it survives `kill -9` only. */
export type Durability = 'fsync' | 'fast';

export interface FsStoreOptions {
  durability?: Durability;
  /** Where fault tests stand; Node's file system otherwise. */
  ops?: FsOps;
  now?: () => Date;
}

const layout = canonicalBytes({ schema: 'goto3/store/v1' });

/** Opens the store in a folder, and makes it on first use. `root` is an absolute path. */
export async function openFsStore(root: string, options: FsStoreOptions = {}): Promise<KeptStore> {
  const { durability = 'fsync', ops: given, now = () => new Date() } = options;
  if (!given) await mkdir(root, { recursive: true });
  const typed = withTypedFailures(given ?? nodeFs);
  const ops = durability === 'fast' ? withoutSync(typed) : typed;
  await ops.syncFolder(dirname(root));

  const staging = new Staging(ops, root);
  await checkLayout(ops, staging, root);
  const blobs = new FsBlobStore(ops, staging, root);
  const medium: LogMedium = { files: ops, staging, numbered: (folder) => new NumberedFiles(ops, folder) };
  const refs = new RefLogs(medium, root, now);
  const captures = new CaptureLogs(medium, root);
  return {
    url: pathToFileURL(root).href,
    blobs,
    refs,
    captures,
    upkeep: {
      blobs: () => blobs.all(),
      origin: (digest) => blobs.get(digest),
      deleteIfOlder: (digest, olderThan) => blobs.deleteIfOlder(digest, olderThan),
      removeLeftovers: (olderThan) => staging.removeLeftovers(olderThan),
      finishDeletions: (olderThan) => blobs.settleCondemned(olderThan),
      captures: captureUpkeep(medium, captures, now),
      checkLog: (name) => refs.checkLog(name),
    },
  };
}

/** A file at the root names the layout, so that another version's store is refused instead of misread. */
async function checkLayout(ops: FsOps, staging: Staging, root: string): Promise<void> {
  const marker = join(root, 'store.json');
  const expected = Buffer.from(layout).toString('utf8');
  const found = (await readIfThere(ops, marker)) ?? (await writeLayout(ops, staging, marker));
  if (found !== expected)
    throw new InvalidInput(`store ${root}: expected the layout ${expected}, found ${found.slice(0, 100)}`);
}

async function writeLayout(ops: FsOps, staging: Staging, marker: string): Promise<string> {
  const staged = await staging.stage(layout);
  try {
    await staging.publish(staged, marker);
  } finally {
    await staging.discard(staged.path);
  }
  return Buffer.from(await ops.readWhole(marker)).toString('utf8');
}

/** Reading comes first: a store on a full disk can still be opened and read. */
async function readIfThere(ops: FsOps, path: string): Promise<string | undefined> {
  try {
    return Buffer.from(await ops.readWhole(path)).toString('utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
