import { strict as assert } from 'node:assert';
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { OnnxError } from '../../src/onnx/error.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { openModel } from '../../src/onnx/proto/open-model.ts';
import { saveModel } from '../../src/onnx/proto/save-model.ts';
import { ModelProto } from '../../src/onnx/proto/schema.ts';
import { storedTensor, tensorBytes, valuesOf } from '../../src/onnx/tensor.ts';
import { linear, textClassifier, withGraph } from './models.ts';
import { f32, randomFloats, runOnce, seededRandom } from './run.ts';

describe('onnx: external data', () => {
  let folder: string;
  const at = (...names: string[]): string => join(folder, ...names);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'goto3-external-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** `y = x · w` with 64 × 8 weights that lie in another file. */
  const weights = randomFloats(512, seededRandom(3));
  const pointing = (entries: Record<string, string>, more: object = {}): void => {
    const { graph, opsets, irVersion } = linear(64, 8, weights);
    const [weight] = graph.initializers;
    writeFileSync(
      at('model.onnx'),
      ModelProto.encode({
        irVersion,
        opsetImport: [{ domain: '', version: opsets.get('') }],
        graph: {
          node: [{ opType: 'MatMul', input: ['x', 'w'], output: ['y'] }],
          input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{}, { dimValue: 64 }] } } } }],
          output: [{ name: 'y', type: { tensorType: { elemType: 1, shape: { dim: [{}, { dimValue: 8 }] } } } }],
          initializer: [
            {
              name: 'w',
              dataType: 1,
              dims: weight!.dims,
              dataLocation: 1,
              externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
              ...more,
            },
          ],
        },
      }).finish(),
    );
  };
  const refusal = (): string => {
    let message = '';
    assert.throws(
      () => openModel(at('model.onnx')).close(),
      (error) => {
        assert.ok(error instanceof OnnxError, String(error));
        message = error.message;
        return true;
      },
    );
    return message;
  };
  const data = (): void => writeFileSync(at('w.bin'), new Uint8Array(weights.buffer));

  it('reads weights where they lie, when they are asked for', async () => {
    writeFileSync(at('w.bin'), Buffer.concat([Buffer.alloc(100), new Uint8Array(weights.buffer)]));
    pointing({ location: 'w.bin', offset: '100', length: '2048', checksum: 'not ours' });
    const { model, close } = openModel(at('model.onnx'));
    const [weight] = model.graph.initializers;
    assert.equal(weight!.bytes.length, 0);
    assert.deepEqual(valuesOf(weight!, 'float32'), weights);
    const inputs = { x: f32([1, 64], randomFloats(64, seededRandom(4))) };
    assert.deepEqual(await runOnce(encodeModel(model), inputs), await runOnce(linear(64, 8, weights), inputs));
    close();
    assert.throws(() => tensorBytes(weight!), /closed before its weights were read/);
    // Without a path there is no folder to look in.
    assert.throws(() => decodeModel(readFileSync(at('model.onnx'))), /external data\); open the model by its path/);
  });

  it('takes offset 0 and the length of the shape when the model does not say', () => {
    data();
    pointing({ location: 'w.bin' });
    const { model, close } = openModel(at('model.onnx'));
    assert.deepEqual(valuesOf(model.graph.initializers[0]!, 'float32'), weights);
    close();
  });

  it('refuses a place outside the folder, and whatever is no plain file there', () => {
    const outside = mkdtempSync(join(tmpdir(), 'goto3-outside-'));
    try {
      data();
      const secret = join(outside, 'secret');
      writeFileSync(secret, new Uint8Array(2048));
      symlinkSync(secret, at('link.bin'));
      symlinkSync(outside, at('linked'));
      linkSync(secret, at('hard.bin'));
      mkdirSync(at('folder'));
      const cases: [location: string, message: RegExp][] = [
        ['../w.bin', /relative path inside the model's folder/],
        [secret, /relative path inside the model's folder/],
        ['a/../../w.bin', /relative path inside/],
        ['', /relative path inside/],
        ['w.bin\u0000', /relative path inside/],
        ['..\\w.bin', /relative path inside/],
        ['absent.bin', /found none/],
        ['absent/w.bin', /found none/],
        ['w.bin/w.bin', /no folder/],
        ['link.bin', /found a symbolic link/],
        ['linked/secret', /found a symbolic link/],
        ['hard.bin', /found a hard link/],
        ['folder', /found something else/],
      ];
      for (const [location, message] of cases) {
        pointing({ location });
        assert.match(refusal(), message, location);
      }
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('refuses offsets and lengths that do not fit file and shape', () => {
    data();
    const cases: [entries: Record<string, string>, message: RegExp][] = [
      [{ length: '2047' }, /float32\[64, 8\] takes 2048 bytes, its external data 2047/],
      [{ offset: '1' }, /expected 2048 bytes at offset 1 of "w.bin", which has 2048 bytes/],
      [{ offset: '9007199254740991' }, /at offset 9007199254740991/],
      [{ offset: '99999999999999999999' }, /offset of external data: expected a number of bytes/],
      [{ offset: '-1' }, /expected a number of bytes, got "-1"/],
      [{ length: '0x800' }, /expected a number of bytes/],
    ];
    for (const [entries, message] of cases) {
      pointing({ location: 'w.bin', ...entries });
      assert.match(refusal(), message);
    }
    pointing({ offset: '0' });
    assert.match(refusal(), /without a location/);
    pointing({ location: 'w.bin' }, { rawData: new Uint8Array(2048) });
    assert.match(refusal(), /external data and data of its own/);
    pointing({ location: 'w.bin' }, { dataType: 8 });
    assert.match(refusal(), /strings cannot be external data/);
    // What was cut after it was opened is noticed when it is read.
    pointing({ location: 'w.bin' });
    const { model, close } = openModel(at('model.onnx'));
    writeFileSync(at('w.bin'), new Uint8Array(2000));
    assert.throws(() => tensorBytes(model.graph.initializers[0]!), /ended after 2000 of 2048 bytes/);
    close();
  });

  it('saves in one file or in two, the same model, and the engine runs both', async () => {
    const model = textClassifier({ vocabulary: 500 });
    const whole = await saveModel(model, at('whole.onnx'));
    assert.deepEqual(new Uint8Array(readFileSync(at('whole.onnx'))), encodeModel(model));
    const parted = await saveModel(model, at('parted.onnx'), { externalData: 'always' });
    assert.equal(whole.dataFile, undefined);
    assert.deepEqual(readdirSync(folder).sort(), ['parted.onnx', parted.dataFile!, 'whole.onnx']);
    assert.equal(parted.sizeBytes, readFileSync(at('parted.onnx')).length + readFileSync(at(parted.dataFile!)).length);
    const { model: read, close } = openModel(at('parted.onnx'));
    assert.deepEqual(
      read.graph.initializers.map(({ stored }) => stored !== undefined),
      model.graph.initializers.map(({ bytes }) => bytes.length >= 1024),
    );
    assert.deepEqual(encodeModel(read), encodeModel(model));
    close();
    const feeds = { ids: new ort.Tensor('int64', BigInt64Array.of(1n, 2n, 499n), [1, 3]) };
    const sessions = await Promise.all(
      ['whole.onnx', 'parted.onnx'].map((name) => ort.InferenceSession.create(at(name))),
    );
    const [one, two] = await Promise.all(
      sessions.map(async (session) => (await session.run(feeds)).probabilities!.data),
    );
    assert.deepEqual(one, two);
    for (const session of sessions) await session.release();
  });

  it('leaves nothing behind when a weight cannot be made', async () => {
    const broken = withGraph(linear(64, 8, weights), {
      initializers: [
        storedTensor('w', 'float32', [64, 8], () => {
          throw new OnnxError('no such weight');
        }),
      ],
    });
    for (const externalData of ['always', 'never'] as const) {
      await assert.rejects(saveModel(broken, at('broken.onnx'), { externalData }), /no such weight/);
    }
    const short = withGraph(broken, {
      initializers: [storedTensor('w', 'float32', [64, 8], () => new Uint8Array(4))],
    });
    await assert.rejects(saveModel(short, at('short.onnx')), /expected 2048 stored bytes, got 4/);
    assert.deepEqual(readdirSync(folder), []);
  });

  it('reads weights beyond 4 GiB without holding the file', () => {
    // A sparse file: 5 GiB long, one page on the disk.
    const offset = 5 * 2 ** 30;
    const file = openSync(at('large.bin'), 'w');
    writeSync(file, new Uint8Array(weights.buffer), 0, 2048, offset);
    closeSync(file);
    pointing({ location: 'large.bin', offset: String(offset) });
    const before = process.memoryUsage().rss;
    const { model, close } = openModel(at('model.onnx'));
    assert.deepEqual(valuesOf(model.graph.initializers[0]!, 'float32'), weights);
    close();
    assert.ok(process.memoryUsage().rss - before < 200 * 2 ** 20);
  });

  it('knows what does not fit into one file before it reads a weight', async () => {
    const rows = 2 ** 29;
    const model = withGraph(linear(64, 8, weights), {
      initializers: [
        storedTensor('w', 'float32', [rows, 1], () => {
          throw new OnnxError('the weight was read');
        }),
      ],
    });
    assert.throws(() => encodeModel(model), /a protobuf file ends at 2147483647/);
    await assert.rejects(saveModel(model, at('large.onnx'), { externalData: 'never' }), /a protobuf file ends at/);
    await assert.rejects(saveModel(model, at('large.onnx')), /the weight was read/); // by the data file's writer
    assert.deepEqual(readdirSync(folder), []);
  });
});
