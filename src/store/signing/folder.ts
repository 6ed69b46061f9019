import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileDigest } from '../file-digest.ts';
import { SignatureRefused } from './errors.ts';
import type { TrustedKey } from './keys.ts';
import { compare, openModelBundle, type VerifiedModel } from './model.ts';
import { type SignedFile, signatureFile } from './statement.ts';

/**
 * That a trusted key vouches for a folder, but for what its signer left out (the signature, Git's files).
 * @throws SignatureRefused, also for links: what they lead to is not in the folder
 */
export async function verifyFolder(
  bundle: Uint8Array,
  folder: string,
  trusted: readonly TrustedKey[],
): Promise<VerifiedModel> {
  const { statement, signer } = openModelBundle(bundle, trusted);
  const ignored = [...statement.ignored, signatureFile];
  const files: SignedFile[] = [];
  for await (const path of plainFiles(folder, '', ignored))
    files.push({ path, digest: await fileDigest(join(folder, path)) });
  return { name: compare(statement, files), signer };
}

async function* plainFiles(root: string, below: string, ignored: readonly string[]): AsyncIterable<string> {
  for (const name of (await readdir(join(root, below))).sort()) {
    const path = below + name;
    if (ignored.includes(path)) continue;
    const facts = await lstat(join(root, path));
    if (facts.isDirectory()) yield* plainFiles(root, `${path}/`, ignored);
    else if (facts.isFile()) yield path;
    else throw new SignatureRefused(`${JSON.stringify(path)} is a link or no file`);
  }
}
