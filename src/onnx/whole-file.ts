import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** `fast` leaves out fsync: for files that can be made again. */
export type Durability = 'full' | 'fast';

/**
 * Writes a file under a passing name, then gives it the name that `write` returns: it appears whole or not at all, also
 * when the process dies. A name that was there before is replaced.
 */
export async function writeWhole(
  folder: string,
  durability: Durability,
  write: (file: FileHandle) => Promise<string>,
): Promise<string> {
  const temporary = join(folder, `.goto3-${randomUUID()}`);
  const file = await open(temporary, 'wx');
  try {
    let name: string;
    try {
      name = await write(file);
      if (durability === 'full') await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(folder, name));
    if (durability === 'full') await syncFolder(folder);
    return name;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** All bytes at a position; one write call takes at most 2^31 - 1 of them. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.byteLength - done, 2 ** 30), position + done);
    done += bytesWritten;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
