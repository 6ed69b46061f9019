import { strict as assert } from 'node:assert';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { npyBatches } from '../../src/onnx/quantize/calibrate/npy.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';

/** A file as numpy.save writes it (version 1: a 2-byte length, the header padded with spaces to 64 bytes). */
function npy(descr: string, shape: string, data: NodeJS.ArrayBufferView, order = 'False'): Buffer {
  const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }`;
  const padded = `${header}${' '.repeat(63 - ((10 + header.length) % 64))}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(padded.length);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(padded, 'latin1'), bytes]);
}

function twoInputs(): Model {
  const g = new GraphBuilder('two');
  const x = g.input('x', 'float32', ['batch', 2]);
  const ids = g.input('ids', 'int64', ['batch']);
  g.output('y', g.add(x, g.unsqueeze(g.cast(ids, 'float32'), [1])), ['batch', 2]);
  return g.toModel();
}

describe('onnx/quantize/calibrate: npy files', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-npy-'));
  });
  after(() => rm(folder, { recursive: true }));

  const all = async (): Promise<(readonly Tensor[])[]> => {
    const batches: (readonly Tensor[])[] = [];
    for await (const batch of npyBatches(folder, twoInputs(), 2)) batches.push(batch);
    return batches;
  };
  const x = npy('<f4', '3, 2', Float32Array.of(1, 2, 3, 4, 5, 6));
  const ids = npy('<i8', '3,', BigInt64Array.of(7n, 8n, 9n));

  it('are read some rows at a time, one file for each input', async () => {
    await writeFile(join(folder, 'x.npy'), x);
    await writeFile(join(folder, 'ids.npy'), ids);
    const batches = await all();
    assert.deepEqual(
      batches.map((batch) => batch.map(({ name, dims }) => [name, dims])),
      [
        [
          ['x', [2, 2]],
          ['ids', [2]],
        ],
        [
          ['x', [1, 2]],
          ['ids', [1]],
        ],
      ],
    );
    assert.deepEqual([...valuesOf(batches[1]![0]!, 'float32')], [5, 6]);
    assert.deepEqual([...valuesOf(batches[1]![1]!, 'int64')], [9n]);
  });

  it('are refused by name when they are not what the model needs', async () => {
    const refuse = async (file: Buffer, message: RegExp): Promise<void> => {
      await writeFile(join(folder, 'x.npy'), file);
      await assert.rejects(all(), (error: Error) => error instanceof OnnxError && message.test(error.message));
    };
    await refuse(x.subarray(0, x.length - 1), /x\.npy: it is cut off/);
    await refuse(x.subarray(0, 9), /cut off/);
    await refuse(Buffer.from('PK\x03\x04 not numpy at all'), /no \.npy file/);
    await refuse(npy('<f4', '2, 2', new Float32Array(4)), /ids\.npy: 3 rows, ".*x\.npy" has 2/);
    await refuse(npy('>f4', '3, 2', new Float32Array(6)), /element type ">f4", expected one of <f4/);
    await refuse(npy('<f4', '3, 2', new Float32Array(6), 'True'), /expected C order/);
    await refuse(npy('<f4', '', new Float32Array(1)), /expected rows along a first axis/);
    await rm(join(folder, 'ids.npy'));
    await refuse(x, /expected "ids\.npy" for the model's input/);
  });
});
