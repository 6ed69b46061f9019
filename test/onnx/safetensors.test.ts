import { strict as assert } from 'node:assert';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { OnnxError } from '../../src/onnx/error.ts';
import { floatsOf } from '../../src/onnx/floats.ts';
import type { Tensor } from '../../src/onnx/model.ts';
import { openSafetensors } from '../../src/onnx/safetensors/read.ts';
import { writeSafetensors } from '../../src/onnx/safetensors/write.ts';
import { tensorBytes, tensorOf, valuesOf } from '../../src/onnx/tensor.ts';

describe('onnx/safetensors', () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-safetensors-'));
    path = join(folder, 'model.safetensors');
  });
  after(() => rmSync(folder, { recursive: true }));

  const tensors: Tensor[] = [
    tensorOf('b', 'float32', [2, 2], Float32Array.of(1, -2, 0.5, 3)),
    tensorOf('a', 'float32', [], Float32Array.of(7)),
    tensorOf('ids', 'int64', [2], BigInt64Array.of(1n, -(2n ** 63n))),
    { ...tensorOf('half', 'uint16', [3], Uint16Array.of(0x3c00, 0x0001, 0xfbff)), type: 'float16' },
    { ...tensorOf('brain', 'uint16', [2], Uint16Array.of(0x3f80, 0xc2f7)), type: 'bfloat16' },
    tensorOf('flags', 'bool', [3], Uint8Array.of(1, 0, 1)),
    tensorOf('none', 'float32', [0, 4], new Float32Array(0)),
  ];
  const file = (header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer => {
    const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    return Buffer.concat([length, json, data]);
  };
  const refusal = (bytes: Uint8Array): string => {
    writeFileSync(path, bytes);
    let message = '';
    assert.throws(
      () => openSafetensors(path).close(),
      (error) => {
        assert.ok(error instanceof OnnxError, String(error));
        message = error.message;
        return true;
      },
    );
    return message;
  };

  it('reads back what it wrote: the same bytes for the same tensors in any order', async () => {
    const other = join(folder, 'other.safetensors');
    await writeSafetensors(path, tensors, { metadata: { format: 'pt' } });
    await writeSafetensors(other, [...tensors].reverse(), { metadata: { format: 'pt' } });
    assert.deepEqual(readFileSync(path), readFileSync(other));
    const read = openSafetensors(path);
    assert.deepEqual([...read.metadata], [['format', 'pt']]);
    assert.deepEqual([...read.tensors.keys()].sort(), tensors.map(({ name }) => name).sort());
    for (const tensor of tensors) {
      const { type, dims } = read.tensors.get(tensor.name)!;
      assert.deepEqual([type, dims], [tensor.type, tensor.dims]);
      assert.deepEqual(tensorBytes(read.tensors.get(tensor.name)!), tensor.bytes);
    }
    assert.deepEqual([...floatsOf(read.tensors.get('half')!)], [1, 2 ** -24, -65_504]);
    assert.deepEqual([...floatsOf(read.tensors.get('brain')!)], [1, -123.5]);
    read.close();
    assert.throws(() => valuesOf(read.tensors.get('b')!, 'float32'), /it was closed before tensor "b" was read/);
    assert.deepEqual(readdirSync(folder).sort(), ['model.safetensors', 'other.safetensors']);
  });

  it('refuses what is not valid to the letter', () => {
    const data = new Uint8Array(16);
    const one = (fields: object): unknown => ({ w: { dtype: 'F32', shape: [4], data_offsets: [0, 16], ...fields } });
    assert.equal(openAndClose(file(one({}), data)), 1);
    const cases: [bytes: Uint8Array, message: RegExp][] = [
      [new Uint8Array(7), /not a safetensors file: 7 bytes/],
      [new Uint8Array(16).fill(255), /a header of 18446744073709552000 bytes in 16/],
      [file(one({}), data).subarray(0, 20), /a header of/],
      [file('[1]', data), /does not begin with "\{"/],
      [file(' {}', data), /does not begin with "\{"/],
      [file('{"w":', data), /not JSON/],
      [file(one({ shape: [5] }), data), /F32\[5\] takes 20 bytes, it has 16/],
      [file(one({ shape: [-4] }), data), /expected dtype, shape and data_offsets/],
      [file(one({ shape: [2 ** 40, 2 ** 40] }), data), /too large/],
      [file(one({ dtype: 'F8_E4M3FNUZ' }), data), /unknown element type "F8_E4M3FNUZ"/],
      [file(one({ dtype: 'constructor' }), data), /unknown element type/],
      [file(one({ data_offsets: [16, 0] }), data), /takes 16 bytes, it has -16/],
      [file(one({ more: 1 }), data), /expected dtype, shape/],
      [file({ w: 3 }, data), /tensor "w": expected dtype/],
      [file({ __metadata__: { a: 1 } }), /__metadata__: expected texts/],
      [file({}, data), /its tensors take 0 bytes, the file has 16/],
      [file(one({}), new Uint8Array(17)), /take 16 bytes, the file has 17/],
      [file(one({ data_offsets: [4, 20] }), new Uint8Array(20)), /begins at 4, expected 0: a gap/],
    ];
    for (const [bytes, message] of cases) assert.match(refusal(bytes), message);
    const half = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
    assert.match(
      refusal(file({ a: half, b: { ...half, data_offsets: [4, 12] } }, data)),
      /"b" begins at 4, .* overlaps/,
    );
    // A name that occurs twice leaves a gap, because JSON keeps the last one.
    const twice = `{"a":${JSON.stringify(half)},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}`;
    assert.match(refusal(file(twice, data)), /a gap/);
  });

  function openAndClose(bytes: Uint8Array): number {
    writeFileSync(path, bytes);
    const read = openSafetensors(path);
    for (const tensor of read.tensors.values()) tensorBytes(tensor);
    read.close();
    return read.tensors.size;
  }

  it('refuses to write what the format does not have', async () => {
    const text = { name: 's', type: 'string', dims: [0], bytes: new Uint8Array(0), strings: [] } as const;
    await assert.rejects(writeSafetensors(path, [text]), /safetensors has no string/);
    await assert.rejects(writeSafetensors(path, [tensors[0]!, tensors[0]!]), /tensor "b" occurs twice/);
    await assert.rejects(writeSafetensors(path, [{ ...tensors[0]!, name: '__metadata__' }]), /the format's own/);
  });

  it('survives flipped and cut bytes: tensors or an OnnxError', async () => {
    await writeSafetensors(path, tensors, { metadata: { format: 'pt' } });
    const original = readFileSync(path);
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(), fc.boolean(), (at, mask, end, cut) => {
        const bytes = Uint8Array.from(cut ? original.subarray(0, end % original.length) : original);
        if (bytes.length > 0) bytes[at % Math.min(bytes.length, 600)]! ^= mask;
        try {
          openAndClose(bytes);
        } catch (error) {
          assert.ok(error instanceof OnnxError, String(error instanceof Error ? error.stack : error));
          refused++;
        }
      }),
      { numRuns: 600, seed: 20_260_104 },
    );
    assert.ok(refused > 300, `only ${refused} noticed`);
  });
});
