import { createHash } from 'node:crypto';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { failureTypes } from '../../contracts/failures.ts';
import { floatsOf } from '../floats.ts';
import type { Tensor } from '../model.ts';
import { openSafetensors } from '../safetensors/read.ts';
import { writeSafetensors } from '../safetensors/write.ts';
import { tensorBytes, tensorOf } from '../tensor.ts';
import type { Parameters } from './parameters.ts';

/** What a training is, by name: digests of its base, its rows, its hyperparameters, the base's revision. */
export type Identity = Readonly<Record<string, string>>;

/** A checkpoint of another training lies where this one wants to go on. */
export class ForeignCheckpointError extends Error {
  override readonly name = 'ForeignCheckpointError';
  readonly type = failureTypes.invalidInput;
  /** The parts of the identity that differ. */
  readonly differs: readonly string[];

  constructor(file: string, differs: readonly string[]) {
    super(`${file}: it belongs to another training: its ${differs.join(', ')} differ`);
    this.differs = differs;
  }
}

export interface CheckpointState {
  readonly parameters: Parameters;
  /** Weights to return to: the best so far. */
  readonly best?: ReadonlyMap<string, Float32Array> | undefined;
}

const format = 'goto3/training-checkpoint/v1';
const namePattern = /^step-\d{9}\.safetensors$/;
const nameOf = (step: number): string => `step-${String(step).padStart(9, '0')}.safetensors`;

/**
 * Checkpoints of one training in one folder, as safetensors: weights, moments, best weights; identity, progress and a digest
 * over all of it in the metadata. Each appears whole or not at all; the one before stays until the next, so there is a good
 * one at every instant.
 */
export class TrainingCheckpoints {
  private readonly folder: string;
  private readonly identity: Identity;
  private readonly log: (event: string, fields: Readonly<Record<string, string>>) => void;
  /** Own files that are known to be good, oldest first. */
  private good: string[] = [];

  /** @param log told of checkpoints that are damaged and passed over */
  constructor(folder: string, identity: Identity, log: TrainingCheckpoints['log']) {
    this.folder = folder;
    this.identity = identity;
    this.log = log;
  }

  /** @param progress what JSON can hold; comes back from `restore` */
  async save(step: number, state: CheckpointState, progress: unknown): Promise<void> {
    const tensors = tensorsOf(state);
    const texts = { identity: sortedJson(this.identity), progress: JSON.stringify(progress) };
    const metadata = { format, ...texts, digest: digestOf(tensors, texts) };
    const name = nameOf(step);
    await writeSafetensors(join(this.folder, name), tensors, { metadata });
    this.good = [...this.good.filter((other) => other !== name), name].slice(-2);
    for (const other of await readdir(this.folder))
      if ((namePattern.test(other) || other.startsWith('.goto3-')) && !this.good.includes(other))
        await rm(join(this.folder, other), { force: true });
  }

  /**
   * Fills the parameters from the newest good checkpoint and returns its progress and best weights; damaged ones are told
   * and passed over. Throws `ForeignCheckpointError` for a good one of another training: nothing is overwritten.
   */
  async restore(parameters: Parameters): Promise<{ progress: unknown; best?: Map<string, Float32Array> } | undefined> {
    await mkdir(this.folder, { recursive: true });
    const names = (await readdir(this.folder)).filter((name) => namePattern.test(name));
    for (const name of names.sort().reverse()) {
      const found = this.read(name, parameters);
      if (typeof found !== 'string') {
        this.good = [name];
        return found;
      }
      this.log('checkpointDamaged', { file: name, reason: found });
    }
    return undefined;
  }

  private read(name: string, parameters: Parameters) {
    const path = join(this.folder, name);
    let file: ReturnType<typeof openSafetensors>;
    try {
      file = openSafetensors(path);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    try {
      const { metadata } = file;
      const texts = { identity: metadata.get('identity') ?? '', progress: metadata.get('progress') ?? '' };
      const isWhole = digestOf([...file.tensors.values()], texts) === metadata.get('digest');
      if (metadata.get('format') !== format || !isWhole) return 'its content does not match its digest';
      const differs = differences(JSON.parse(texts.identity) as Identity, this.identity);
      if (differs.length > 0) throw new ForeignCheckpointError(path, differs);
      return { progress: JSON.parse(texts.progress) as unknown, ...fill(parameters, file.tensors) };
    } finally {
      file.close();
    }
  }
}

const kinds = ['weight', 'moment1', 'moment2'] as const;

function tensorsOf({ parameters, best }: CheckpointState): Tensor[] {
  const tensors = [...parameters].flatMap(([name, parameter]) =>
    kinds.map((kind) => tensorOf(`${kind}:${name}`, 'float32', parameter.dims, parameter[kind])),
  );
  for (const [name, weight] of best ?? [])
    tensors.push(tensorOf(`best:${name}`, 'float32', parameters.get(name)!.dims, weight));
  return tensors;
}

/** The same training has the same weights, so a good file of the same identity has them all. */
function fill(parameters: Parameters, tensors: ReadonlyMap<string, Tensor>): { best?: Map<string, Float32Array> } {
  const best = new Map<string, Float32Array>();
  for (const [name, parameter] of parameters) {
    for (const kind of kinds) parameter[kind].set(floatsOf(tensors.get(`${kind}:${name}`)!));
    const weight = tensors.get(`best:${name}`);
    if (weight !== undefined) best.set(name, Float32Array.from(floatsOf(weight)));
  }
  return best.size > 0 ? { best } : {};
}

function digestOf(tensors: readonly Tensor[], texts: Readonly<Record<string, string>>): string {
  const hash = createHash('sha256').update(JSON.stringify(texts));
  for (const tensor of [...tensors].sort((a, b) => (a.name < b.name ? -1 : 1)))
    hash.update(JSON.stringify([tensor.name, tensor.dims])).update(tensorBytes(tensor));
  return `sha256:${hash.digest('hex')}`;
}

const sortedJson = (identity: Identity): string =>
  JSON.stringify(Object.fromEntries(Object.entries(identity).sort(([a], [b]) => (a < b ? -1 : 1))));

const differences = (theirs: Identity, ours: Identity): string[] =>
  [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].filter((name) => theirs[name] !== ours[name]).sort();
