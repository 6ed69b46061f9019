import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { openSafetensors, type SafeTensors } from './read.ts';

/** As large models on the hub keep their weights: `model-00001-of-00003.safetensors` … and which of them has what. */
export const indexFileName = 'model.safetensors.index.json';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });
/** A name is text from a download: a file beside the index, nothing else. */
const shardName = /^[\w-][\w.-]*\.safetensors$/;
const maxIndexBytes = 64 * 2 ** 20;
/** The largest models in use have fewer than 200; each costs an open file. */
const mostShards = 1_024;

/**
 * Opens the shards that an index names as if they were one file. Throws `OnnxError` for an index that is not one, that names
 * a file elsewhere, or that does not say of exactly the shards' tensors where they are; a file system error for a shard
 * that is missing.
 */
export function openShardedSafetensors(indexPath: string): SafeTensors {
  const weightMap = readIndex(indexPath);
  const shards = new Map<string, SafeTensors>();
  const close = (): void => {
    for (const shard of shards.values()) shard.close();
  };
  try {
    for (const name of new Set(weightMap.values())) shards.set(name, openSafetensors(join(dirname(indexPath), name)));
    return { tensors: collect(weightMap, shards, indexPath), metadata: new Map(), close };
  } catch (error) {
    close();
    throw error;
  }
}

function readIndex(path: string): ReadonlyMap<string, string> {
  const { size } = statSync(path);
  if (size > maxIndexBytes) throw new OnnxError(`${path}: ${size} bytes, expected at most ${maxIndexBytes}`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw new OnnxError(`${path}: it is not JSON`);
  }
  const parsed = indexSchema.safeParse(json);
  if (!parsed.success) throw new OnnxError(`${path}: expected weight_map, a file by tensor`);
  const weightMap = new Map(Object.entries(parsed.data.weight_map));
  const names = new Set(weightMap.values());
  if (names.size === 0 || names.size > mostShards)
    throw new OnnxError(`${path}: it names ${names.size} shards, expected 1 to ${mostShards}`);
  for (const name of names)
    if (!shardName.test(name)) throw new OnnxError(`${path}: "${name}" is no safetensors file beside it`);
  return weightMap;
}

function collect(
  weightMap: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, SafeTensors>,
  indexPath: string,
): ReadonlyMap<string, Tensor> {
  const all = new Map<string, Tensor>();
  for (const [shard, { tensors }] of shards) {
    for (const [name, tensor] of tensors) {
      const expected = weightMap.get(name);
      if (expected !== shard) {
        const where = expected === undefined ? 'in no shard' : `in ${expected}`;
        throw new OnnxError(`${indexPath}: tensor "${name}" is in ${shard}, the index says ${where}`);
      }
      all.set(name, tensor);
    }
  }
  for (const [name, shard] of weightMap)
    if (!all.has(name)) throw new OnnxError(`${indexPath}: tensor "${name}" is not in ${shard}`);
  return all;
}
