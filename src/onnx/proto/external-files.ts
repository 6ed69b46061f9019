import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { OnnxError } from '../error.ts';
import type { StoredBytes } from '../model.ts';
import type { ExternalLocation } from './external-location.ts';

/**
 * The data files beside one model, opened once each and read weight by weight. Only plain files inside the model's folder
 * count: no symbolic link at any level, no hard link (either shows a file that lies elsewhere), no device, no pipe. The
 * file that was opened is the one that was looked at, and it stays open, so later renames change nothing.
 */
export class ExternalFiles {
  private readonly folder: string;
  private readonly open = new Map<string, { fd: number; sizeBytes: number }>();
  private isClosed = false;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Throws `OnnxError` when there is no such plain file or it is too short. */
  stored({ path, offset, sizeBytes }: ExternalLocation, place: string): StoredBytes {
    const file = this.open.get(path) ?? this.openFile(path, place);
    this.open.set(path, file);
    if (offset + sizeBytes > file.sizeBytes) {
      throw new OnnxError(
        `${place}: expected ${sizeBytes} bytes at offset ${offset} of "${path}", which has ${file.sizeBytes} bytes`,
      );
    }
    return {
      sizeBytes,
      read: () => {
        if (this.isClosed) throw new OnnxError(`${place}: the model was closed before its weights were read`);
        return readAt(file.fd, offset, sizeBytes, `${place}: "${path}"`);
      },
    };
  }

  /** Weights cannot be read afterwards. */
  close(): void {
    this.isClosed = true;
    for (const { fd } of this.open.values()) closeSync(fd);
    this.open.clear();
  }

  private openFile(path: string, place: string): { fd: number; sizeBytes: number } {
    const refuse = (found: string): OnnxError =>
      new OnnxError(
        `${place}: external data at "${path}": expected a plain file inside the model's folder, found ${found}`,
      );
    const parts = path.split('/');
    for (let depth = 1; depth < parts.length; depth++) {
      const facts = lstatSync(join(this.folder, ...parts.slice(0, depth)), { throwIfNoEntry: false });
      if (facts === undefined) throw refuse('none');
      if (!facts.isDirectory()) throw refuse(facts.isSymbolicLink() ? 'a symbolic link' : 'no folder');
    }
    let fd: number;
    try {
      // O_NONBLOCK: opening a pipe would otherwise wait for its writer.
      fd = openSync(join(this.folder, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (code === 'ENOENT' || code === 'ENOTDIR') throw refuse('none');
      if (code === 'ELOOP') throw refuse('a symbolic link');
      throw error;
    }
    const facts: Stats = fstatSync(fd);
    if (facts.isFile() && facts.nlink === 1) return { fd, sizeBytes: facts.size };
    closeSync(fd);
    throw refuse(facts.isFile() ? 'a hard link' : 'something else');
  }
}

/** Exactly `sizeBytes` bytes. One read call takes at most 2^31 - 1 of them. */
export function readAt(fd: number, offset: number, sizeBytes: number, where: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(sizeBytes).buffer); // not zeroed first: every byte is read
  for (let done = 0; done < sizeBytes; ) {
    const count = readSync(fd, bytes, done, Math.min(sizeBytes - done, 2 ** 30), offset + done);
    if (count === 0) throw new OnnxError(`${where}: it ended after ${done} of ${sizeBytes} bytes at offset ${offset}`);
    done += count;
  }
  return bytes;
}
