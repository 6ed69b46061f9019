import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import { quantizationParameters } from '../../src/onnx/quantize/scale.ts';
import { conditional, textClassifier } from '../onnx/models.ts';
import { randomFloats, seededRandom } from '../onnx/run.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const preparation =
  'python3 -m venv .goto3/oracle && .goto3/oracle/bin/pip install onnx==1.23.2 onnxruntime==1.30.0 && ' +
  'export GOTO3_ORACLE_PYTHON=$PWD/.goto3/oracle/bin/python';
const script = join(import.meta.dirname, 'onnx_dynamic.py');

interface Case {
  name: string;
  model: Model;
  perChannel: boolean;
  reduceRange: boolean;
  weights: string[];
  input: number[];
}

function twoLayers(seed: number, weights: (k: number, n: number, seed: number) => Float32Array): Model {
  const g = new GraphBuilder('two layers');
  const x = g.input('x', 'float32', ['batch', 48]);
  const w1 = g.initializer('w1', 'float32', [48, 32], weights(48, 32, seed));
  const w2 = g.initializer('w2', 'float32', [32, 8], weights(32, 8, seed + 1));
  const b1 = g.initializer('b1', 'float32', [32], randomFloats(32, seededRandom(seed + 2)));
  g.output('y', g.matMul(g.tanh(g.add(g.matMul(x, w1), b1)), w2), ['batch', 8]);
  return g.toModel();
}

describe(`oracle: onnx and onnxruntime.quantization${python ? '' : ` (skipped; prepare it with: ${preparation})`}`, () => {
  let folder: string;
  const ask = async (command: string): Promise<string> =>
    (await promisify(execFile)(python!, [script, command, folder], { timeout: 110_000 })).stdout;

  before(async function () {
    if (!python) this.skip();
    folder = await mkdtemp(join(tmpdir(), 'goto3-oracle-onnx-'));
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true });
  });

  it('gives the weights and scales of quantize_dynamic, bit for bit', async function () {
    this.timeout(120_000);
    const cases: Case[] = [];
    for (const [seed, weights] of [randomWeights, corners, ties, nearTies].entries()) {
      for (const perChannel of [true, false]) {
        for (const reduceRange of [true, false]) {
          const name = `${weights.name}-${perChannel ? 'channel' : 'tensor'}-${reduceRange ? '7' : '8'}bit`;
          const model = twoLayers(seed * 10, weights);
          cases.push({ name, model, perChannel, reduceRange, weights: ['w1', 'w2'], input: [5, 48] });
        }
      }
    }
    for (const { name, model, perChannel, reduceRange } of cases) {
      await writeFile(join(folder, `${name}.float.onnx`), encodeModel(model));
      const ours = quantizeDynamic(model, { perChannel, reduceRange }).model;
      await writeFile(join(folder, `${name}.ours.onnx`), encodeModel(ours));
    }
    const listed = cases.map(({ model: _, ...rest }) => ({
      ...rest,
      float: `${rest.name}.float.onnx`,
      ours: `${rest.name}.ours.onnx`,
    }));
    await writeFile(join(folder, 'cases.json'), JSON.stringify(listed));

    type Answer = { name: string; equal: string[]; outputDifference: number; outputScale: number };
    const answers = JSON.parse(await ask('check')) as Answer[];
    assert.equal(answers.length, 16);
    for (const { name, equal, outputDifference, outputScale } of answers) {
      assert.deepEqual(equal, ['w1_quantized', 'w1_scale', 'w2_quantized', 'w2_scale'], name);
      assert.ok(outputDifference <= 1e-6 * Math.max(1, outputScale), `${name}: outputs differ by ${outputDifference}`);
    }
  });

  it('gives the scales and zero points of compute_scale_zp for any range', async () => {
    const random = seededRandom(8);
    const ranges = Array.from({ length: 2_000 }, (_, i) => {
      const [a, b] = randomFloats(2, random, 10 ** (random() * 12 - 6));
      const type = i % 2 === 0 ? ('uint8' as const) : ('int8' as const);
      return { min: Math.min(a!, b!), max: Math.max(a!, b!), type, symmetric: i % 3 === 0, reduceRange: i % 5 === 0 };
    });
    await writeFile(join(folder, 'ranges.json'), JSON.stringify(ranges));
    const expected = JSON.parse(await ask('parameters')) as { scale: number; zeroPoint: number }[];
    assert.deepEqual(
      ranges.map(({ min, max, ...scheme }) => quantizationParameters(min, max, scheme)),
      expected,
    );
  });

  it('writes models that onnx.checker accepts: tables, Gemm, shared tables, subgraphs', async function () {
    this.timeout(60_000);
    const tied = new GraphBuilder('tied');
    const table = tied.initializer('table', 'float32', [9, 8], randomFloats(72, seededRandom(1)));
    const rows = tied.gather(table, tied.input('ids', 'int64', ['batch']));
    tied.output('y', tied.gemm(rows, table, tied.scalar(1), { alpha: 1, beta: 2, transB: true }), ['batch', 9]);
    const models = [textClassifier(), quantizeDynamic(textClassifier()).model, quantizeDynamic(tied.toModel()).model];
    for (const [i, model] of [...models, conditional()].entries()) {
      await writeFile(join(folder, `accept-${i}.onnx`), encodeModel(model));
    }
    assert.deepEqual(JSON.parse(await ask('accept')), [
      'accept-0.onnx',
      'accept-1.onnx',
      'accept-2.onnx',
      'accept-3.onnx',
    ]);
  });

  it('reads a model that the onnx package wrote, and writes it back the same', async function () {
    this.timeout(60_000);
    await ask('make');
    const model = decodeModel(await readFile(join(folder, 'typed.onnx')));
    assert.equal(model.graph.initializers.length, 16);
    await writeFile(join(folder, 'rewritten.onnx'), encodeModel(model));
    assert.deepEqual(JSON.parse(await ask('compare')), []);
  });
});

function randomWeights(k: number, n: number, seed: number): Float32Array {
  return randomFloats(k * n, seededRandom(seed), 0.2);
}

/** Weights that reach the corners of the arithmetic: zeros, denormals, outliers, one-sided channels. */
function corners(k: number, n: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const weights = randomFloats(k * n, random, 0.1);
  for (let r = 0; r < k; r++) {
    weights[r * n] = 0; // a channel of zeros
    weights[r * n + 1] = 1e-40; // denormal
    weights[r * n + 2] = r === 3 ? 1_000 : (weights[r * n + 2] ?? 0); // an outlier
    weights[r * n + 3] = Math.abs(weights[r * n + 3]!); // one side only
  }
  return weights;
}

/** Quotients that are ties: scale 1 at 8 bits (largest weight 127) or at 7 bits (64). */
function ties(k: number, n: number, seed: number): Float32Array {
  const largest = seed % 2 === 0 ? 127 : 64;
  return Float32Array.from({ length: k * n }, (_, i) => {
    const sign = i % 3 === 0 ? -1 : 1;
    return i < n ? largest : sign * (((i * 7) % largest) + 0.5);
  });
}

/** Quotients that are ties only after the division is rounded to float32. */
function nearTies(k: number, n: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const largest = random() + 0.5;
  const scale = Math.fround(Math.fround(2 * Math.fround(largest)) / (seed % 2 === 0 ? 254 : 128));
  return Float32Array.from({ length: k * n }, (_, i) =>
    i < n ? largest : (Math.floor(random() * 100) - 50.5) * scale,
  );
}
