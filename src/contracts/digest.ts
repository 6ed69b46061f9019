import { z } from 'zod';

/** `sha256:` and 64 hex digits. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected "sha256:" and 64 hex digits');
export type Digest = `sha256:${string}`;

/** A file inside an artifact: a relative path with `/`, no `..`, and the digest of its bytes. */
export const ArtifactFile = z.strictObject({
  path: z.string().refine(isSafeRelativePath, 'expected a relative path with "/", without ".." or empty segments'),
  digest: Digest.transform((d) => d as Digest),
  sizeBytes: z.number().int().nonnegative(),
});
export type ArtifactFile = z.infer<typeof ArtifactFile>;

export function isSafeRelativePath(path: string): boolean {
  return (
    path.length > 0 &&
    path.length <= 512 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
    !/[\\\u0000-\u001f]/.test(path) &&
    path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  );
}
