import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { publishOnce } from './publish.ts';

/** Runs as a process of its own, next to its program. */
export const localWrapper = new URL('./wrapper.ts', import.meta.url);

/**
 * A wrapper as one plain JavaScript file in `folder`. Run through tsx it would need 0.3 s more before each job and our
 * node_modules on every compute node. Its name holds its hash: wrappers of an older version keep theirs.
 */
export async function bundleWrapper(folder: string, entry: URL): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    write: false,
    logLevel: 'silent',
  });
  const { text } = outputFiles[0]!;
  const path = join(folder, `wrapper-${createHash('sha256').update(text).digest('hex').slice(0, 16)}.mjs`);
  await mkdir(folder, { recursive: true });
  await publishOnce(path, text);
  return path;
}
