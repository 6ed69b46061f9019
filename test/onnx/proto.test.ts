import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { failureTypes } from '../../src/contracts/failures.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Tensor } from '../../src/onnx/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { readTensor } from '../../src/onnx/proto/read-tensor.ts';
import { ModelProto } from '../../src/onnx/proto/schema.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';
import { conditional, everyKind, textClassifier } from './models.ts';
import { i64, runOnce } from './run.ts';
import { type Field, serialise, varint } from './wire-tree.ts';

/** A model on the wire, as another exporter may write it. */
const wire = (fields: object): Uint8Array =>
  ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 18 }],
    graph: { name: 'g', ...fields },
  }).finish();

const refusal = (bytes: Uint8Array): string => {
  let message = '';
  assert.throws(
    () => decodeModel(bytes),
    (error) => {
      assert.ok(error instanceof OnnxError, `expected an OnnxError, got ${String(error)}`);
      assert.equal(error.type, failureTypes.invalidInput);
      message = error.message;
      return true;
    },
  );
  return message;
};

const bytesOfFloats = (values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

const lengthPrefix = (tag: number, length: number): Buffer =>
  Buffer.from(length < 128 ? [tag, length] : [tag, (length & 127) | 128, length >> 7]);

describe('onnx/proto', () => {
  it('reads back what it wrote, every kind of field, and writes the same bytes again', () => {
    for (const model of [everyKind(), textClassifier(), conditional()]) {
      const bytes = encodeModel(model);
      const read = decodeModel(bytes);
      assert.deepEqual(read, model);
      assert.deepEqual(encodeModel(read), bytes);
    }
  });

  it('keeps weights as views on the file', () => {
    const bytes = encodeModel(textClassifier());
    for (const tensor of decodeModel(bytes).graph.initializers) assert.equal(tensor.bytes.buffer, bytes.buffer);
  });

  it('reads from a Buffer that is a slice of a larger one', () => {
    const bytes = encodeModel(textClassifier());
    const padded = Buffer.concat([Buffer.from('junk'), bytes, Buffer.from('junk')]);
    assert.deepEqual(decodeModel(padded.subarray(4, 4 + bytes.length)), textClassifier());
  });

  it('keeps fields that it does not know', () => {
    const docString = Uint8Array.of(0x32, 2, 104, 105); // ModelProto.doc_string = "hi"
    const bytes = Uint8Array.from([...encodeModel(textClassifier()), ...docString]);
    const read = decodeModel(bytes);
    assert.deepEqual(read.extra, [docString]);
    assert.deepEqual(encodeModel(read), bytes);
  });

  it('reads typed data fields as well as raw data', () => {
    const tensor = (name: string, dataType: number, dims: number[], data: object) => ({
      name,
      dataType,
      dims,
      ...data,
    });
    const { initializers } = decodeModel(
      wire({
        initializer: [
          tensor('f', 1, [2], { floatData: [1.5, -2] }),
          tensor('d', 11, [1], { doubleData: [0.1] }),
          tensor('i8', 3, [2], { int32Data: [-128, 127] }),
          tensor('u8', 2, [1], { int32Data: [255] }),
          tensor('i32', 6, [1], { int32Data: [-5] }),
          tensor('f16', 10, [1], { int32Data: [0x3c00] }),
          tensor('b', 9, [2], { int32Data: [1, 0] }),
          tensor('i64', 7, [2], { int64Data: [-5, 7] }),
          tensor('u64', 13, [1], { uint64Data: [9] }),
          tensor('u32', 12, [1], { uint64Data: [4_294_967_295] }),
        ],
      }),
    ).graph;
    const [f, d, i8, u8, i32, f16, b, long, u64, u32] = initializers;
    assert.deepEqual([...valuesOf(f!, 'float32')], [1.5, -2]);
    assert.deepEqual([...valuesOf(d!, 'float64')], [0.1]);
    assert.deepEqual([...valuesOf(i8!, 'int8')], [-128, 127]);
    assert.deepEqual([...valuesOf(u8!, 'uint8')], [255]);
    assert.deepEqual([...valuesOf(i32!, 'int32')], [-5]);
    assert.deepEqual([...valuesOf(f16!, 'float16')], [0x3c00]);
    assert.deepEqual([...valuesOf(b!, 'bool')], [1, 0]);
    assert.deepEqual([...valuesOf(long!, 'int64')], [-5n, 7n]);
    assert.deepEqual([...valuesOf(u64!, 'uint64')], [9n]);
    assert.deepEqual([...valuesOf(u32!, 'uint32')], [4_294_967_295]);
  });

  it('keeps floats in typed fields as views too, and takes them packed, in parts and one by one', () => {
    const values = [1.5, -2, 0, 3e38];
    const packed = (part: number[]): Field => ({ field: 4, wireType: 2, content: bytesOfFloats(part) });
    const single = (value: number): Field => ({ field: 4, wireType: 5, content: bytesOfFloats([value]) });
    const number = (field: number, value: bigint): Field => ({ field, wireType: 0, content: varint(value) });
    const read = (fields: Field[]): Tensor => readTensor(serialise([number(1, 4n), ...fields]), 'tensor', undefined);
    const layouts = [
      [packed(values)],
      [packed([1.5]), packed([-2, 0, 3e38])],
      values.map(single),
      [single(1.5), packed([-2, 0]), single(3e38)],
    ];
    for (const layout of layouts)
      assert.deepEqual([...valuesOf(read([number(2, 1n), ...layout]), 'float32')], values.map(Math.fround));
    const bytes = serialise([number(1, 4n), number(2, 1n), packed(values)]);
    assert.equal(readTensor(bytes, 'tensor', undefined).bytes.buffer, bytes.buffer);

    const ints = [-(2n ** 63n), -1n, 2n ** 40n, 2n ** 63n - 1n];
    const joined = Buffer.concat(ints.map(varint));
    for (const layout of [
      [{ field: 7, wireType: 2, content: new Uint8Array(joined) }],
      ints.map((int) => number(7, int)),
    ]) {
      assert.deepEqual([...valuesOf(read([number(2, 7n), ...layout]), 'int64')], ints);
    }
    const cut = { field: 7, wireType: 2, content: new Uint8Array(joined.subarray(0, -1)) };
    assert.throws(() => read([number(2, 7n), cut]), OnnxError);
  });

  it('names what is wrong with a tensor', () => {
    const one = (fields: object): string => refusal(wire({ initializer: [{ name: 'w', ...fields }] }));
    const rawData = new Uint8Array(8);
    assert.match(one({ dataType: 1, dims: [3], rawData }), /"w": float32\[3\] takes 12 bytes, it has 8/);
    assert.match(one({ dataType: 1, dims: [3], floatData: [1] }), /takes 12 bytes, its data field gives 4/);
    assert.match(one({ dataType: 1, dims: [2], int32Data: [1, 2] }), /takes 8 bytes, its data field gives 0/);
    assert.match(one({ dataType: 99, dims: [2], rawData }), /"w": unknown element type 99/);
    assert.match(one({ dims: [2], rawData }), /unknown element type 0/);
    assert.match(one({ dataType: 1, dims: [-2], rawData }), /-2 is no dimension/);
    assert.match(one({ dataType: 1, dims: [2 ** 40, 2 ** 40, 0] }), /too large/);
    assert.match(one({ dataType: 1, dims: [2], rawData, floatData: [1, 2] }), /more than one data field/);
    assert.match(one({ dataType: 8, dims: [2], stringData: [rawData] }), /string\[2\] takes 2 strings, it has 1/);
    assert.match(one({ dataType: 1, dims: [2], dataLocation: 1 }), /external data/);
    assert.match(one({ dataType: 1, dims: [2], externalData: [{ key: 'location', value: '../w' }] }), /external data/);
    assert.match(one({ dataType: 1, dims: [2], rawData, segment: new Uint8Array(0) }), /segmented/);
    const int64Max = { low: -1, high: 0x7fffffff, unsigned: false };
    assert.match(one({ dataType: 1, dims: [int64Max] }), /9223372036854775807 is beyond the safe integers/);
  });

  it('names what else it refuses', () => {
    const header = { irVersion: 8, opsetImport: [{ version: 18 }] };
    const encode = (fields: object): Uint8Array => ModelProto.encode({ ...header, ...fields }).finish();
    assert.match(refusal(new Uint8Array(0)), /no graph/);
    assert.match(refusal(new TextEncoder().encode('<html>not a model</html>')), /not an ONNX model, or cut off/);
    assert.match(refusal(encode({ graph: {}, trainingInfo: [new Uint8Array(0)] })), /training_info/);
    assert.match(refusal(encode({ graph: {}, metadataProps: [{ key: 'a' }, { key: 'a' }] })), /"a" occurs twice/);
    const twice = [{ version: 18 }, { domain: 'ai.onnx', version: 18 }];
    assert.match(refusal(encode({ graph: {}, opsetImport: twice })), /imported twice/);
    assert.match(refusal(wire({ sparseInitializer: [new Uint8Array(0)] })), /sparse/);
    const attribute = (fields: object): object => ({
      node: [{ opType: 'Relu', attribute: [{ name: 'a', ...fields }] }],
    });
    assert.match(refusal(wire(attribute({ type: 77 }))), /node 0 \(Relu\): attribute "a": unknown attribute type 77/);
    assert.match(refusal(wire(attribute({ type: 4 }))), /has no tensor/);
    // A graph in an attribute of a node of a graph …: fields 6, 5 and 1 inside each other.
    let nested = Buffer.from([0x12, 0]);
    for (let i = 0; i < 50; i++)
      for (const tag of [0x32, 0x2a, 0x0a]) nested = Buffer.concat([lengthPrefix(tag, nested.length), nested]);
    assert.match(refusal(Buffer.concat([lengthPrefix(0x3a, nested.length), nested])), /max depth/);
  });

  it('refuses every proper prefix of a model', () => {
    // Metadata come last and are optional, so a cut before them would be no cut.
    const bytes = encodeModel({ ...textClassifier({ vocabulary: 4, width: 2 }), metadata: new Map() });
    for (let length = 0; length < bytes.length; length++) refusal(bytes.subarray(0, length));
  });

  it('survives flipped bytes: a model or an OnnxError, at once, and what it accepts it can write', () => {
    const originals = [everyKind(), textClassifier({ vocabulary: 6, width: 3 }), conditional()].map(encodeModel);
    let refused = 0;
    let slowestMs = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 6 }),
        (original, flips) => {
          const bytes = Uint8Array.from(original);
          for (const [at, mask] of flips) bytes[at % bytes.length]! ^= mask;
          const start = performance.now();
          try {
            encodeModel(decodeModel(bytes));
          } catch (error) {
            assert.ok(error instanceof OnnxError, String(error instanceof Error ? error.stack : error));
            refused++;
          }
          slowestMs = Math.max(slowestMs, performance.now() - start);
        },
      ),
      { numRuns: 2_000, seed: 20_260_101 },
    );
    assert.ok(refused > 500, `only ${refused} flips were noticed: the test does not bite`);
    assert.ok(slowestMs < 1_000, `slowest ${slowestMs} ms`);
  });

  it('writes what the engine runs', async () => {
    const outputs = await runOnce(decodeModel(encodeModel(textClassifier())), { ids: i64([2, 3], [1, 2, 3, 4, 5, 6]) });
    const sums = [0, 1].map((row) => outputs.probabilities!.slice(row * 3, row * 3 + 3).reduce((a, b) => a + b));
    for (const sum of sums) assert.ok(Math.abs(sum - 1) < 1e-6);
  });
});
