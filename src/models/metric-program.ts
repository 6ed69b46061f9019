import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Digest } from '../contracts/digest.ts';
import { canonicalJson, digestOf } from '../store/canonical-json.ts';

/** What turns rows into predictions and predictions into metrics. */
const sources = ['../stats/', '../serving/features/', '../serving/scoring/'];
const files = ['../serving/predictor.ts', '../serving/answers.ts'];

let program: Promise<Digest> | undefined;

/**
 * Names the code that scores and counts, so that a cell of an older goto3 is never taken for one of this: digest of its
 * sources and of the engine's version. A comment changes it too; computing once too often is the cheap mistake.
 */
export async function metricProgram(): Promise<Digest> {
  program ??= digestSources();
  return await program;
}

async function digestSources(): Promise<Digest> {
  const paths = [...files];
  for (const folder of sources)
    for (const name of await readdir(fileURLToPath(new URL(folder, import.meta.url))))
      if (name.endsWith('.ts')) paths.push(folder + name);
  const digests: Record<string, Digest> = {};
  for (const path of paths) digests[path] = digestOf(await readFile(new URL(path, import.meta.url)));
  const engine = createRequire(import.meta.url)('onnxruntime-node/package.json') as { version: string };
  return digestOf(canonicalJson({ digests, engine: engine.version }));
}
