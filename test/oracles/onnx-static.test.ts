import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { prepareForStatic } from '../../src/onnx/quantize/static/prepare.ts';
import { quantizeStatic } from '../../src/onnx/quantize/static/quantize.ts';
import type { StaticReport } from '../../src/onnx/quantize/static/report.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';
import { f32, runOnce } from '../onnx/run.ts';
import { RandomNet } from '../onnx/static-models.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const script = join(import.meta.dirname, 'onnx_static.py');

/** Convolutions of every kind, a residual sum, pools and dense layers, in the order that both quantizers understand. */
function network(seed: number): RandomNet {
  const net = new RandomNet([3, 10, 10], seed);
  const { g } = net;
  const stem = g.relu(
    net.batchNorm(net.conv(net.x, 'stem', [8, 3, 3, 3], { pads: [1, 1, 1, 1], bias: false }), 'n', 8),
  );
  const depthwise = net.conv(stem, 'depthwise', [8, 1, 3, 3], { pads: [1, 0, 1, 2], group: 8 });
  const grouped = g.relu(net.conv(depthwise, 'grouped', [8, 4, 1, 1], { group: 2 }));
  const sum = g.add(stem, grouped);
  const second = g.relu(net.conv(net.pool('MaxPool', sum, [2, 2]), 'second', [12, 8, 3, 3], { strides: [2, 2] }));
  const pooled = net.op('Flatten', net.op('GlobalAveragePool', second));
  const hidden = g.relu(
    g.gemm(pooled, net.weight('hidden.w', [16, 12]), net.weight('hidden.b', [16]), { transB: true }),
  );
  g.output('y', g.gemm(hidden, net.weight('head.w', [16, 5]), net.weight('head.b', [5])), ['batch', 5]);
  return net;
}

interface Answer {
  name: string;
  equal: string[];
  different: string[];
  ourError: number;
  theirError: number;
  ourBytes: number;
  theirBytes: number;
  outputs: number[];
}

describe(`oracle: quantize_static of onnxruntime${python ? '' : ' (skipped; npm run test:oracles prepares it)'}`, () => {
  let folder: string;
  before(async function () {
    if (!python) this.skip();
    folder = await mkdtemp(join(tmpdir(), 'goto3-oracle-static-'));
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true });
  });

  it('gives its weights, biases, scales and zero points bit for bit, and models both engines agree on', async function () {
    this.timeout(180_000);
    const cases: object[] = [];
    const ours = new Map<string, { model: Model; report: StaticReport; fresh: Tensor }>();
    for (const [seed, method] of (['minMax', 'percentile', 'minMax', 'percentile'] as const).entries()) {
      const [perChannel, reduceRange] = [seed !== 2, seed % 2 === 0];
      const name = `case${seed}`;
      const net = network(seed);
      const model = prepareForStatic(net.g.toModel());
      const [calibration, fresh] = [net.rows(64), net.rows(32)];
      const batch = 16;
      const batches = Array.from({ length: 4 }, (_, i) => {
        const size = calibration.bytes.length / 4;
        return [
          { ...calibration, dims: [batch, 3, 10, 10], bytes: calibration.bytes.subarray(i * size, (i + 1) * size) },
        ];
      });
      const answer = await quantizeStatic(model, batches, {
        perChannel,
        reduceRange,
        calibration: { method },
        kernels: 'plain',
      });
      ours.set(name, { ...answer, fresh });
      await writeFile(join(folder, `${name}.float.onnx`), encodeModel(model));
      await writeFile(join(folder, `${name}.ours.onnx`), encodeModel(answer.model));
      await writeFile(join(folder, `${name}.calibration`), calibration.bytes);
      await writeFile(join(folder, `${name}.fresh`), fresh.bytes);
      const files = { float: `${name}.float.onnx`, ours: `${name}.ours.onnx` };
      const rows = { calibration: `${name}.calibration`, fresh: `${name}.fresh`, input: [3, 10, 10], batch };
      cases.push({ name, ...files, ...rows, method, perChannel, reduceRange });
    }
    await writeFile(join(folder, 'cases.json'), JSON.stringify(cases));
    const { stdout } = await promisify(execFile)(python!, [script, 'check', folder], { timeout: 150_000 });
    const answers = JSON.parse(stdout.trim().split('\n').at(-1)!) as Answer[];
    assert.equal(answers.length, 4);
    for (const { name, equal, different, ourError, theirError, ourBytes, theirBytes, outputs } of answers) {
      const { model, report, fresh } = ours.get(name)!;
      assert.deepEqual(different, [], name);
      const expected = [
        ...report.weights.flatMap(({ weight }) => [`${weight}_quantized`, `${weight}_scale`]),
        ...report.activations.flatMap(({ value }) => [`${value}_scale`, `${value}_zero_point`]),
        ...['Conv_0_folded_bias', 'depthwise.b', 'grouped.b', 'second.b', 'hidden.b', 'head.b'].flatMap((bias) => [
          `${bias}_quantized`,
          `${bias}_quantized_scale`,
        ]),
      ];
      assert.deepEqual(
        expected.filter((value) => !equal.includes(value)),
        [],
        `${name}: not found among the equal ones`,
      );
      assert.ok(ourBytes < theirBytes, `${name}: ${ourBytes} bytes, theirs ${theirBytes}`);
      console.log(`      ${name}: squared error ${ourError.toFixed(4)}, theirs ${theirError.toFixed(4)}`);
      assert.ok(ourError <= theirError, `${name}: squared error ${ourError}, theirs ${theirError}`);
      // The same engine in both languages, and their model in ours.
      const feeds = { x: f32(fresh.dims, valuesOf(fresh, 'float32')) };
      assert.deepEqual([...(await runOnce(model, feeds)).y!], outputs, name);
      const theirs = await readFile(join(folder, `${name}.theirs.onnx`));
      assert.equal((await runOnce(theirs, feeds)).y!.length, outputs.length);
    }
  });
});
