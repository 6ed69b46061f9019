import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Digest } from '../../src/contracts/digest.ts';
import type { CaptureRecord } from '../../src/contracts/endpoint.ts';
import type { ManifestOf } from '../../src/store/manifests.ts';
import type { Why } from '../../src/store/types.ts';

/** A folder that is removed after the test. */
export async function temporaryFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'goto3-store-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');
export const someBytes = (size: number): Uint8Array => new Uint8Array(randomBytes(size));
export const digestOfDigit = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
export const why = (operation: string, by = 'ann', reason = 'test'): Why => ({ operation, by, reason });

export async function readAll(stream: Readable): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return new Uint8Array(Buffer.concat(chunks));
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export const capture = (inferenceId: string): CaptureRecord => ({
  inferenceId,
  timeMs: 1_028_000_000_000,
  generation: 1,
  variant: 'stable',
  model: digestOfDigit('a'),
  shadow: false,
  background: false,
  answer: { label: 'ham', score: 0.125 },
  latencyMs: 1.5,
});

/** A manifest with a part (its job spec) besides its parents. */
export const runManifest = (jobSpec: Digest, parents: Digest[] = []): ManifestOf<'Run'> => ({
  kind: 'Run',
  parents,
  createdAt: '2002-08-01T00:00:00.000Z',
  job: 'spam/1/train/1',
  jobSpec,
  program: ['node', 'train.ts'],
  hyperparameters: { epochs: '3' },
  metrics: { loss: 0.25 },
  durationMs: 1_500,
  attempts: 1,
});

export const openedManifest = (cycle: number, parents: Digest[] = []): ManifestOf<'CycleOpened'> => ({
  kind: 'CycleOpened',
  parents,
  createdAt: '2002-08-01T00:00:00.000Z',
  loop: 'spam',
  cycle,
  reason: 'new rows',
});
