import { link, mkdir, open, readdir, readFile, rename, rmdir, stat, unlink, utimes } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { StoreUnavailable } from '../errors.ts';
import { hasCode } from '../logs/files.ts';

/** A new file while it is written. */
export interface NewFile {
  /** All of the bytes, after those before. */
  write(bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileFacts {
  sizeBytes: number;
  modifiedAtMs: number;
  /** Hard links to the file. */
  links: number;
}

/**
 * The file-system calls that the store makes, and no others: what fault tests stand in front of. Errors are Node's, with
 * a `code`; paths are absolute.
 */
export interface FsOps {
  /** One level; an existing folder is fine. */
  makeFolder(path: string): Promise<void>;
  /** Fails with EEXIST when there is one. */
  createFile(path: string): Promise<NewFile>;
  /** Fails with EEXIST when `to` exists: the exclusive step of every write. */
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Fails with ENOTEMPTY when it holds anything. */
  removeFolder(path: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** Sets the modification time to now. */
  touch(path: string): Promise<void>;
  facts(path: string): Promise<FileFacts>;
  list(folder: string): Promise<{ name: string; isFolder: boolean }[]>;
  readWhole(path: string): Promise<Uint8Array>;
  /** Fewer bytes when the file ends before. */
  readRange(path: string, offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** Rejects when the file cannot be opened, so that "not there" is known before the first byte. */
  readStream(path: string): Promise<Readable>;
}

export const nodeFs: FsOps = {
  async makeFolder(path) {
    try {
      await mkdir(path);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  },
  async createFile(path) {
    const handle = await open(path, 'wx', 0o644);
    return {
      async write(bytes) {
        await handle.writeFile(bytes);
      },
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  link,
  rename,
  remove: unlink,
  async removeFolder(path) {
    try {
      await rmdir(path);
    } catch (error) {
      // Some file systems say EEXIST (rmdir(2)).
      throw hasCode(error, 'EEXIST') ? Object.assign(error as Error, { code: 'ENOTEMPTY' }) : error;
    }
  },
  async syncFolder(path) {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  async touch(path) {
    const now = new Date();
    await utimes(path, now, now);
  },
  async facts(path) {
    const facts = await stat(path);
    return { sizeBytes: facts.size, modifiedAtMs: facts.mtimeMs, links: facts.nlink };
  },
  async list(folder) {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  },
  readWhole: (path) => readFile(path),
  async readRange(path, offset, lengthBytes) {
    const handle = await open(path, 'r');
    try {
      const bytes = Buffer.allocUnsafe(lengthBytes);
      let filled = 0;
      while (filled < lengthBytes) {
        const { bytesRead } = await handle.read(bytes, filled, lengthBytes - filled, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    } finally {
      await handle.close();
    }
  },
  async readStream(path) {
    const handle = await open(path, 'r');
    return handle.createReadStream();
  },
};

/** Runs one call; `path` is the file it changes or reads. */
export type Intercept = <T>(operation: keyof FsOps | keyof NewFile, path: string, run: () => Promise<T>) => Promise<T>;

/** The same calls, each through `intercept`. */
export function interceptFs(ops: FsOps, intercept: Intercept): FsOps {
  return {
    makeFolder: (path) => intercept('makeFolder', path, () => ops.makeFolder(path)),
    async createFile(path) {
      const file = await intercept('createFile', path, () => ops.createFile(path));
      return {
        write: (bytes) => intercept('write', path, () => file.write(bytes)),
        sync: () => intercept('sync', path, () => file.sync()),
        close: () => intercept('close', path, () => file.close()),
      };
    },
    link: (from, to) => intercept('link', to, () => ops.link(from, to)),
    rename: (from, to) => intercept('rename', to, () => ops.rename(from, to)),
    remove: (path) => intercept('remove', path, () => ops.remove(path)),
    removeFolder: (path) => intercept('removeFolder', path, () => ops.removeFolder(path)),
    syncFolder: (path) => intercept('syncFolder', path, () => ops.syncFolder(path)),
    touch: (path) => intercept('touch', path, () => ops.touch(path)),
    facts: (path) => intercept('facts', path, () => ops.facts(path)),
    list: (path) => intercept('list', path, () => ops.list(path)),
    readWhole: (path) => intercept('readWhole', path, () => ops.readWhole(path)),
    readRange: (path, offset, lengthBytes) =>
      intercept('readRange', path, () => ops.readRange(path, offset, lengthBytes)),
    readStream: (path) => intercept('readStream', path, () => ops.readStream(path)),
  };
}

/** Conditions of the machine that pass (open(2), write(2), fsync(2)): space, quota, handles, memory, the medium, NFS. */
const passingCodes = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'EIO',
  'EAGAIN',
  'ESTALE',
  'ETIMEDOUT',
]);

/** Turns passing conditions into `StoreUnavailable`; every other error stays as it is. */
export const withTypedFailures = (ops: FsOps): FsOps =>
  interceptFs(ops, async (operation, path, run) => {
    try {
      return await run();
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (passingCodes.has(code)) throw new StoreUnavailable(code, operation, path, error);
      throw error;
    }
  });

/** For tests and throw-away stores: survives `kill -9`, not a power cut. */
export const withoutSync = (ops: FsOps): FsOps => ({
  ...ops,
  syncFolder: async () => {},
  async createFile(path) {
    return { ...(await ops.createFile(path)), sync: async () => {} };
  },
});
