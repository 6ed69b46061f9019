import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Digest } from '../contracts/digest.ts';
import { FileListDocument, SubmittedWorkload } from '../contracts/workload-documents.ts';
import { putFolder } from '../store/folders.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Ref, Store } from '../store/types.ts';
import { InvalidFile } from './errors.ts';
import type { WorkloadFileContent } from './workload-file.ts';

/** Same file, scripts and inputs, whoever submits it. */
export async function isSame(
  store: Store,
  { digest }: Ref,
  { submittedBy: _by, ...mine }: SubmittedWorkload,
): Promise<boolean> {
  const { submittedBy: _theirs, ...theirs } = await getJson(store, SubmittedWorkload, digest);
  const text = (value: object): string => JSON.stringify(value, (_key, v: unknown) => (isMapping(v) ? sorted(v) : v));
  return text(mine) === text(theirs);
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const sorted = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Scripts and inputs into the store; returns the document that names them. */
export async function takeIn(store: Store, content: WorkloadFileContent, by: string): Promise<SubmittedWorkload> {
  const { file, spec, folder } = content;
  const scripts: SubmittedWorkload['scripts'] = {};
  for (const [job, { file: name, interpreter, bytes }] of Object.entries(content.scripts))
    scripts[job] = { file: name, interpreter, digest: await store.blobs.put(bytes) };
  const inputs: SubmittedWorkload['inputs'] = {};
  for (const [job, { inputs: paths }] of Object.entries(spec.jobs)) {
    const taken: SubmittedWorkload['inputs'][string] = {};
    for (const [name, path] of Object.entries(paths))
      taken[name] = await takeInput(store, join(folder, path), `jobs.${job}.inputs.${name}: ${path}`);
    inputs[job] = taken;
  }
  return {
    schema: 'goto3/workload/v1',
    file,
    // As it will be read again: without what is undefined.
    spec: JSON.parse(JSON.stringify(spec)) as typeof spec,
    ...{ folder, scripts, inputs, submittedBy: by },
  };
}

async function takeInput(store: Store, path: string, what: string): Promise<{ files: Digest; single?: string }> {
  const facts = await lstat(path).catch(() => undefined);
  if (facts?.isDirectory()) return { files: await putJson(store, FileListDocument, await putFolder(store, path)) };
  if (!facts?.isFile()) throw new InvalidFile('the workload', [`${what}: expected a file or a folder`]);
  const digest = await store.blobs.put(createReadStream(path));
  const single = basename(path);
  const file = { path: single, digest, sizeBytes: await store.blobs.sizeBytes(digest) };
  return { files: await putJson(store, FileListDocument, [file]), single };
}
