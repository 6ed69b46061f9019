import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEncoder } from '../../src/onnx/encoder/build.ts';
import { openEncoder } from '../../src/onnx/encoder/folder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { openSafetensors } from '../../src/onnx/safetensors/read.ts';
import { indexFileName, openShardedSafetensors } from '../../src/onnx/safetensors/sharded.ts';
import { writeSafetensors } from '../../src/onnx/safetensors/write.ts';
import { tensorBytes } from '../../src/onnx/tensor.ts';
import { writeCheckpoint } from './encoder/checkpoints.ts';

describe('onnx/safetensors: shards', () => {
  let folder: string;
  let whole: Buffer;
  const at = (name: string): string => join(folder, name);
  const shards = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const;
  const writeIndex = (weight_map: unknown): void =>
    writeFileSync(at(indexFileName), JSON.stringify({ metadata: { total_size: 1 }, weight_map }));
  let weightMap: Record<string, string>;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-shards-'));
    await writeCheckpoint(folder, 'bert');
    const encoder = openEncoder(folder);
    whole = Buffer.from(encodeModel(buildEncoder(encoder, { kind: 'tokens' })));
    encoder.close();
    const { tensors, close } = openSafetensors(at('model.safetensors'));
    const list = [...tensors.values()].map((tensor) => ({ ...tensor, bytes: tensorBytes(tensor), stored: undefined }));
    close();
    weightMap = {};
    for (const [s, name] of shards.entries()) {
      const own = list.filter((_, i) => i % 2 === s).map(({ stored: _, ...tensor }) => tensor);
      await writeSafetensors(at(name), own);
      for (const tensor of own) weightMap[tensor.name] = name;
    }
    rmSync(at('model.safetensors'));
    writeIndex(weightMap);
  });
  after(() => rmSync(folder, { recursive: true }));

  it('gives the same model as one file', () => {
    const encoder = openEncoder(folder);
    assert.ok(whole.equals(encodeModel(buildEncoder(encoder, { kind: 'tokens' }))));
    encoder.close();
    assert.throws(() => tensorBytes([...encoder.weights.values()][0]!), /closed/);
  });

  it('refuses an index that lies, or that leads elsewhere', () => {
    const [first = ''] = Object.keys(weightMap);
    const { [first]: _left, ...without } = weightMap;
    const cases: [unknown, RegExp][] = [
      [undefined, /expected weight_map/],
      [{}, /names 0 shards/],
      [{ ...weightMap, other: '../elsewhere.safetensors' }, /is no safetensors file beside it/],
      [{ ...weightMap, other: '/etc/passwd' }, /is no safetensors file beside it/],
      [{ ...weightMap, other: shards[0] }, /tensor "other" is not in model-00001/],
      [{ ...weightMap, [first]: shards[1] }, /is in model-00001.*the index says in model-00002/],
      [without, /the index says in no shard/],
    ];
    try {
      for (const [map, message] of cases) {
        writeIndex(map);
        assert.throws(
          () => openShardedSafetensors(at(indexFileName)),
          (error) => error instanceof OnnxError && message.test(error.message),
          message.source,
        );
      }
      writeFileSync(at(indexFileName), '{');
      assert.throws(() => openShardedSafetensors(at(indexFileName)), /it is not JSON/);
      writeIndex({ ...weightMap, other: 'model-00003-of-00002.safetensors' });
      assert.throws(() => openShardedSafetensors(at(indexFileName)), /ENOENT/);
    } finally {
      writeIndex(weightMap);
    }
  });
});
