import { Readable } from 'node:stream';
import type { FsOps } from '../../../src/store/fs/fs-ops.ts';

interface FileNode {
  data: Buffer;
  /** What is on the platter; undefined before the first fsync. */
  synced: Buffer | undefined;
  modifiedAtMs: number;
}
interface FolderNode {
  names: Map<string, Inode>;
  /** The names that a power cut leaves. */
  synced: Map<string, Inode>;
}
type Inode = FileNode | FolderNode;

const isFolder = (node: Inode): node is FolderNode => 'names' in node;
const newFolder = (): FolderNode => ({ names: new Map(), synced: new Map() });

/**
 * A file system in memory that forgets, at a power cut, what was not synced, as POSIX allows and ext4 or XFS do: the
 * bytes of a file without fsync, and names in a folder without fsync of that folder. `keeps` decides, for each change
 * that was not synced, whether it reached the disk all the same.
 */
export class PowerCutFs implements FsOps {
  /** What the file system takes for the time. */
  nowMs = (): number => Date.now();
  #root = newFolder();

  constructor() {
    this.#root.names.set('store', newFolder());
    this.#root.synced = new Map(this.#root.names);
  }

  powerCut(keeps: () => boolean): void {
    const survivors = new Map<Inode, Inode>();
    const survive = (node: Inode): Inode => {
      const known = survivors.get(node);
      if (known) return known;
      if (!isFolder(node)) {
        // Torn: the first half is there, the rest never was.
        const data = node.synced ?? (keeps() ? node.data : node.data.subarray(0, node.data.length >> 1));
        survivors.set(node, { data, synced: data, modifiedAtMs: node.modifiedAtMs });
        return survivors.get(node)!;
      }
      const after = newFolder();
      survivors.set(node, after);
      for (const name of new Set([...node.synced.keys(), ...node.names.keys()])) {
        const [old, now] = [node.synced.get(name), node.names.get(name)];
        const kept = old === now || keeps() ? now : old;
        if (kept) after.names.set(name, survive(kept));
      }
      after.synced = new Map(after.names);
      return after;
    };
    this.#root = survive(this.#root) as FolderNode;
  }

  /** Changes a byte behind the store's back. */
  flipBit(path: string): void {
    const file = this.#file(path);
    file.data = Buffer.from(file.data);
    file.data[0]! ^= 1;
    file.synced = file.data;
  }

  paths(): string[] {
    const below = (folder: FolderNode, prefix: string): string[] =>
      [...folder.names].flatMap(([name, node]) =>
        isFolder(node) ? below(node, `${prefix}/${name}`) : [`${prefix}/${name}`],
      );
    return below(this.#root, '');
  }

  makeFolder = async (path: string): Promise<void> => {
    const [parent, name] = this.#place(path);
    if (!parent.names.has(name)) parent.names.set(name, newFolder());
  };

  createFile: FsOps['createFile'] = async (path) => {
    const [parent, name] = this.#place(path);
    if (parent.names.has(name)) throw failure('EEXIST', path);
    const file: FileNode = { data: Buffer.alloc(0), synced: undefined, modifiedAtMs: this.nowMs() };
    parent.names.set(name, file);
    return {
      write: async (bytes) => {
        file.data = Buffer.concat([file.data, bytes]);
      },
      sync: async () => {
        file.synced = file.data;
      },
      close: async () => {},
    };
  };

  link = async (from: string, to: string): Promise<void> => {
    const [parent, name] = this.#place(to);
    if (parent.names.has(name)) throw failure('EEXIST', to);
    parent.names.set(name, this.#file(from));
  };

  rename = async (from: string, to: string): Promise<void> => {
    const file = this.#file(from);
    const [[oldParent, oldName], [parent, name]] = [this.#place(from), this.#place(to)];
    oldParent.names.delete(oldName);
    parent.names.set(name, file);
  };

  remove = async (path: string): Promise<void> => {
    this.#file(path);
    const [parent, name] = this.#place(path);
    parent.names.delete(name);
  };

  removeFolder = async (path: string): Promise<void> => {
    if (this.#folder(path).names.size > 0) throw failure('ENOTEMPTY', path);
    const [parent, name] = this.#place(path);
    parent.names.delete(name);
  };

  syncFolder = async (path: string): Promise<void> => {
    const folder = this.#folder(path);
    folder.synced = new Map(folder.names);
  };

  touch = async (path: string): Promise<void> => {
    this.#file(path).modifiedAtMs = this.nowMs();
  };

  facts: FsOps['facts'] = async (path) => {
    const file = this.#file(path);
    return { sizeBytes: file.data.length, modifiedAtMs: file.modifiedAtMs, links: this.#links(file, this.#root) };
  };

  list: FsOps['list'] = async (path) =>
    [...this.#folder(path).names].map(([name, node]) => ({ name, isFolder: isFolder(node) }));

  readWhole = async (path: string): Promise<Uint8Array> => this.#file(path).data;

  readRange: FsOps['readRange'] = async (path, offset, lengthBytes) =>
    this.#file(path).data.subarray(offset, offset + lengthBytes);

  readStream = async (path: string): Promise<Readable> => Readable.from([this.#file(path).data]);

  #links(file: FileNode, folder: FolderNode): number {
    return [...folder.names.values()].reduce(
      (sum, node) => sum + (isFolder(node) ? this.#links(file, node) : Number(node === file)),
      0,
    );
  }

  #file(path: string): FileNode {
    const [parent, name] = this.#place(path);
    const node = parent.names.get(name);
    if (!node || isFolder(node)) throw failure('ENOENT', path);
    return node;
  }

  #place(path: string): [FolderNode, string] {
    const end = path.lastIndexOf('/');
    return [this.#folder(path.slice(0, end)), path.slice(end + 1)];
  }

  #folder(path: string): FolderNode {
    let folder = this.#root;
    for (const name of path.split('/').filter(Boolean)) {
      const next = folder.names.get(name);
      if (!next || !isFolder(next)) throw failure('ENOENT', path);
      folder = next;
    }
    return folder;
  }
}

export const failure = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });
