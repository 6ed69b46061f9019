import { copyFile, link, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isSafeRelativePath } from '../../contracts/digest.ts';
import { fileDigest } from '../../store/file-digest.ts';
import type { StagedFile } from './launch-record.ts';

/** Where the bytes lie until they have their names; no path of a program begins so. */
const asideName = '.goto3-blobs';

/**
 * Gives blobs, which SageMaker has put under their keys below `source`, the paths that the program expects below
 * `destination`, after a look at their digest: every hop checks it (DESIGN §3).
 */
export async function layOut(source: string, files: readonly StagedFile[], destination: string): Promise<void> {
  await mkdir(source, { recursive: true });
  const aside = join(source, asideName);
  await mkdir(aside);
  for (const entry of await readdir(source))
    if (entry !== asideName) await rename(join(source, entry), join(aside, entry));
  await mkdir(destination, { recursive: true });
  for (const file of files) await place(aside, file, destination);
  await rm(aside, { recursive: true });
}

async function place(aside: string, { path, key, digest, sizeBytes }: StagedFile, destination: string): Promise<void> {
  if (!isSafeRelativePath(path)) throw new Error(`input ${JSON.stringify(path)}: not a relative path`);
  const to = join(destination, path);
  await mkdir(dirname(to), { recursive: true });
  // S3 has nothing to list for it, so no manifest names it.
  if (sizeBytes === 0) return await writeFile(to, '');
  const from = join(aside, key);
  const found = await fileDigest(from);
  if (found !== digest) throw new Error(`input ${path}: expected ${digest}, and S3 gave ${found}`);
  await link(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV' && error.code !== 'EPERM') throw error;
    await copyFile(from, to);
  });
}
