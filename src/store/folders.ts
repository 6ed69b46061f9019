import { createHash, randomUUID } from 'node:crypto';
import { constants, createWriteStream } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { ArtifactFile, type Digest, isSafeRelativePath } from '../contracts/digest.ts';
import { CorruptBlob, InvalidInput } from './errors.ts';
import { fileDigest } from './file-digest.ts';
import { inParallel } from './in-parallel.ts';
import { hasCode } from './logs/files.ts';
import type { BlobStore, Store } from './types.ts';

type Blobs = Pick<Store, 'blobs'>;

interface Source {
  blobs: Pick<BlobStore, 'get'>;
}

/** A server answers many at once; a disk does not mind. */
const filesAtOnce = 16;

/** More files than this is a program that went wrong, and a manifest that nobody can read. */
const maxFiles = 10_000;

/**
 * Stores every file of a folder, sorted by path; folders without files leave no trace. The sizes and digests are those of
 * the bytes that were stored, also when a file changes meanwhile.
 *
 * Throws `InvalidInput` for anything but plain files: a symbolic link or a hard link lets a program's output folder show
 * a file that lies elsewhere, and a device or a pipe has no content.
 *
 * @param leavesOut entries of the folder that are not looked at, nor what is below them
 */
export async function putFolder(
  store: Blobs,
  folder: string,
  leavesOut: (name: string) => boolean = () => false,
): Promise<ArtifactFile[]> {
  const paths: string[] = [];
  for await (const path of filesBelow(folder, '', leavesOut)) {
    if (paths.push(path) > maxFiles) throw new InvalidInput(`folder ${folder}: more than ${maxFiles} files`);
  }
  return await inParallel(paths.sort(), filesAtOnce, (path) => putFile(store, folder, path));
}

/**
 * Writes an artifact's files into a folder and makes sure that each has the right bytes; files that are right already are
 * kept, files that are not listed are left alone. Each file appears under its name whole or not at all. There is no
 * fsync: the folder is a copy, and the next call checks it again.
 *
 * Throws `InvalidInput` for unsafe or clashing paths before anything is written and for a size that is not the blob's,
 * `NotFound`, `CorruptBlob`.
 */
export async function materialise(store: Source, files: readonly ArtifactFile[], folder: string): Promise<void> {
  checkPaths(files);
  await mkdir(folder, { recursive: true });
  for (const file of files) {
    const path = join(folder, file.path);
    await makeFolders(folder, file.path);
    if (!(await isRight(path, file))) await writeFile(store, file, path);
  }
}

async function* filesBelow(
  root: string,
  prefix: string,
  leavesOut: (name: string) => boolean = () => false,
): AsyncIterable<string> {
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    if (leavesOut(entry.name)) continue;
    const path = prefix + entry.name;
    if (!isSafeRelativePath(path))
      throw new InvalidInput(`folder ${root}: the file name ${JSON.stringify(path)} cannot be stored`);
    if (entry.isDirectory()) yield* filesBelow(root, `${path}/`);
    else if (entry.isFile()) yield path;
    else throw notPlain(root, path, entry.isSymbolicLink() ? 'a symbolic link' : 'a device, pipe or socket');
  }
}

async function putFile(store: Blobs, root: string, path: string): Promise<ArtifactFile> {
  const handle = await openPlain(root, path);
  let sizeBytes = 0;
  async function* counted(): AsyncIterable<Uint8Array> {
    for await (const chunk of handle.createReadStream({ autoClose: false })) {
      sizeBytes += (chunk as Uint8Array).length;
      yield chunk as Uint8Array;
    }
  }
  try {
    if (store.blobs.putFile) return { path, ...(await store.blobs.putFile(handle)) };
    const digest = await store.blobs.put(Readable.from(counted(), { objectMode: false }));
    return { path, digest, sizeBytes };
  } finally {
    await handle.close();
  }
}

/** Looks at the file that was really opened: the name may have been exchanged since the folder was listed. */
async function openPlain(root: string, path: string): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    // O_NONBLOCK: opening a pipe would otherwise wait for its writer.
    handle = await open(join(root, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, 'ELOOP')) throw notPlain(root, path, 'a symbolic link');
    throw error;
  }
  const facts = await handle.stat();
  if (facts.isFile() && facts.nlink === 1) return handle;
  await handle.close();
  throw notPlain(root, path, facts.isFile() ? `one of ${facts.nlink} hard links to a file` : 'not a file');
}

const notPlain = (root: string, path: string, found: string): InvalidInput =>
  new InvalidInput(
    `folder ${root}: expected a plain file at ${JSON.stringify(path)}, found ${found}; store a copy instead`,
  );

function checkPaths(files: readonly ArtifactFile[]): void {
  const checked = z.array(ArtifactFile).safeParse(files);
  if (!checked.success) throw new InvalidInput(`artifact files: ${z.prettifyError(checked.error)}`);
  const paths = new Set(files.map((file) => file.path));
  if (paths.size < files.length) throw new InvalidInput('artifact files: a path occurs twice');
  for (const path of paths)
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent))
      if (paths.has(parent)) throw new InvalidInput(`artifact files: ${JSON.stringify(parent)} is a file and a folder`);
}

/** Level by level, so that no symbolic link inside the folder leads a file out of it. */
async function makeFolders(root: string, path: string): Promise<void> {
  const parents = path.split('/').slice(0, -1);
  for (let depth = 1; depth <= parents.length; depth += 1) {
    const folder = join(root, ...parents.slice(0, depth));
    try {
      await mkdir(folder);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      if (!(await lstat(folder)).isDirectory())
        throw new InvalidInput(
          `folder ${root}: expected a folder at ${JSON.stringify(parents.slice(0, depth).join('/'))}`,
        );
    }
  }
}

async function isRight(path: string, file: ArtifactFile): Promise<boolean> {
  try {
    const facts = await lstat(path);
    if (facts.isDirectory()) throw new InvalidInput(`expected no folder at ${path}, where a file belongs`);
    return facts.isFile() && facts.size === file.sizeBytes && (await fileDigest(path)) === file.digest;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function writeFile(store: Source, file: ArtifactFile, path: string): Promise<void> {
  const temporary = join(dirname(path), `.goto3-${randomUUID()}`);
  try {
    // Every hop checks the digest, whatever the source promises: a wrong file fails before the rename.
    await pipeline(await store.blobs.get(file.digest), verified(file), createWriteStream(temporary, { flags: 'wx' }));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function verified({ path, digest, sizeBytes }: ArtifactFile): Transform {
  const hash = createHash('sha256');
  let received = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      received += chunk.length;
      done(null, chunk);
    },
    flush(done) {
      const found: Digest = `sha256:${hash.digest('hex')}`;
      if (found !== digest) return done(new CorruptBlob(digest, found));
      if (received === sizeBytes) return done();
      done(new InvalidInput(`file ${path}: expected ${sizeBytes} bytes, ${digest} has ${received}`));
    },
  });
}
