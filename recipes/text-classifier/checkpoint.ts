import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { log } from './log.ts';
import type { TrainingState } from './step-runner.ts';
import { stateKinds } from './training-graph.ts';
import { weightNames } from './weights.ts';

/** What the counters of the running epoch stand at; together with the state it makes a resumed run exact. */
export const Progress = z.strictObject({
  /** Steps done. */
  step: z.number().int().nonnegative(),
  /** Sum of the losses, rows seen and rows right in the current epoch. */
  loss: z.number(),
  rows: z.number().int().nonnegative(),
  correct: z.number().int().nonnegative(),
});
export type Progress = z.infer<typeof Progress>;

const Header = z.strictObject({
  format: z.literal('goto3/text-classifier-checkpoint/v1'),
  /** Digest of everything that decides about the weights: rows, hyperparameters, base. */
  key: z.string(),
  progress: Progress,
});

const namePattern = /^step-(\d{9})\.checkpoint$/;
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.checkpoint`;
const digestBytes = 32;

/**
 * Checkpoints in one folder. A file is the length of its header (4 bytes, little-endian), the header as JSON, weights
 * and moments as float32, and the SHA-256 of all that. It appears by rename, after its bytes are on disk; the one before
 * stays until the next, so there is a good one at every instant, also when the newest turns out to be damaged.
 */
export class Checkpoints {
  private readonly folder: string;
  private readonly key: string;
  /** Own files that are known to be good, oldest first. */
  private good: string[] = [];

  constructor(folder: string, key: string) {
    this.folder = folder;
    this.key = key;
  }

  async save(state: TrainingState, progress: Progress): Promise<void> {
    const header = Buffer.from(
      JSON.stringify({ format: 'goto3/text-classifier-checkpoint/v1', key: this.key, progress } satisfies z.input<
        typeof Header
      >),
    );
    const length = Buffer.alloc(4);
    length.writeUInt32LE(header.length);
    const parts = [length, header, ...tensorsOf(state).map(bytesOf)];
    const hash = createHash('sha256');
    for (const part of parts) hash.update(part);
    const name = nameOf(progress.step);
    await this.publish(name, [...parts, hash.digest()]);
    this.good = [...this.good.filter((other) => other !== name), name].slice(-2);
    await this.prune();
  }

  /** Restores the newest usable checkpoint into `state`; those that are not usable are told in the log. */
  async restore(state: TrainingState): Promise<Progress | undefined> {
    await mkdir(this.folder, { recursive: true });
    const names = (await readdir(this.folder))
      .filter((name) => namePattern.test(name))
      .sort()
      .reverse();
    for (const name of names) {
      const found = this.read(await readFile(join(this.folder, name)), state);
      if (typeof found === 'string') {
        log('checkpointIgnored', { file: name, reason: found });
        continue;
      }
      this.good = [name];
      return found;
    }
    return undefined;
  }

  /** Fills `state` only when everything fits; otherwise says why not. */
  private read(file: Buffer, state: TrainingState): Progress | string {
    if (file.length < 4 + digestBytes) return 'truncated';
    const body = file.subarray(0, -digestBytes);
    if (!createHash('sha256').update(body).digest().equals(file.subarray(-digestBytes)))
      return 'its bytes do not match its digest';
    const headerEnd = 4 + body.readUInt32LE(0);
    const header = Header.safeParse(jsonOrUndefined(body.toString('utf8', 4, headerEnd)));
    if (!header.success) return 'another format';
    if (header.data.key !== this.key) return 'it belongs to other data, hyperparameters or base';
    let offset = headerEnd;
    for (const tensor of tensorsOf(state)) {
      bytesOf(tensor).set(body.subarray(offset, offset + tensor.byteLength));
      offset += tensor.byteLength;
    }
    return header.data.progress;
  }

  private async publish(name: string, parts: readonly Uint8Array[]): Promise<void> {
    const temporary = join(this.folder, `.writing-${randomUUID()}`);
    const file = await open(temporary, 'wx');
    try {
      await file.writev(parts);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(this.folder, name));
    const folder = await open(this.folder, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }

  /** Also what a killed run left behind, and foreign checkpoints: from now on they could only be refused. */
  private async prune(): Promise<void> {
    for (const name of await readdir(this.folder))
      if ((namePattern.test(name) || name.startsWith('.writing-')) && !this.good.includes(name))
        await rm(join(this.folder, name), { force: true });
  }
}

const tensorsOf = (state: TrainingState): Float32Array[] =>
  stateKinds.flatMap((kind) => weightNames.map((name) => state[kind][name]));
const bytesOf = (tensor: Float32Array): Uint8Array =>
  new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength);

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
