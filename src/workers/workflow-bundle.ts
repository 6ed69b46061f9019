import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DataConverter } from '@temporalio/common';
import { bundleWorkflowCode } from '@temporalio/worker';

/** The workflows of a worker; of a versioned one they say how they are versioned. */
export const workflowsPath = ({ versioned }: { versioned: boolean }): string =>
  fileURLToPath(new URL(versioned ? '../workflows/versioned.ts' : '../workflows/index.ts', import.meta.url));
const payloadConverterPath = fileURLToPath(new URL('../workflows/payload-converter.ts', import.meta.url));
const sources = ['../workflows/', '../contracts/'].map((folder) => fileURLToPath(new URL(folder, import.meta.url)));

/** The workflows as one bundle, made once per version of their code: bundling costs seconds of CPU, starting should not. */
export async function workflowBundle(
  home: string,
  { failureConverterPath, versioned }: Pick<DataConverter, 'failureConverterPath'> & { versioned: boolean },
): Promise<{ codePath: string }> {
  const hash = createHash('sha256').update(
    createRequire(import.meta.url)('@temporalio/workflow/package.json').version as string,
  );
  for (const folder of sources)
    for (const file of (readdirSync(folder, { recursive: true }) as string[])
      .filter((name) => name.endsWith('.ts'))
      .sort())
      hash.update(`\0${file}\0`).update(readFileSync(join(folder, file)));
  if (failureConverterPath !== undefined) hash.update('\0failures\0').update(readFileSync(failureConverterPath));
  if (versioned) hash.update('\0versioned\0');
  const folder = join(home, 'cache', 'workflow-bundles');
  const codePath = join(folder, `${hash.digest('hex')}.js`);
  if (
    await stat(codePath).then(
      () => true,
      () => false,
    )
  )
    return { codePath };
  const { code } = await bundleWorkflowCode({
    workflowsPath: workflowsPath({ versioned }),
    payloadConverterPath,
    ...(failureConverterPath !== undefined && { failureConverterPath }),
  });
  await mkdir(folder, { recursive: true });
  const unfinished = `${codePath}.${process.pid}`;
  await writeFile(unfinished, code);
  await rename(unfinished, codePath);
  return { codePath };
}
