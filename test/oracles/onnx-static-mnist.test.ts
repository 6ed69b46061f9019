import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { needsReducedRange, readCpuFeatures } from '../../src/onnx/quantize/cpu.ts';
import { quantizeStatic } from '../../src/onnx/quantize/static/quantize.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { type PairedCounts, pairedProportionCurve } from '../../src/stats/paired-proportions.ts';
import { f32, withSession } from '../onnx/run.ts';
import { digitModel, trainDigits } from './digit-network.ts';
import { type Digits, loadDigits, someDigits } from './mnist-digits.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const script = join(import.meta.dirname, 'onnx_static.py');
/** Rows to train on, to calibrate with, and (the rest) to judge by. */
const [training, calibration] = [6_400, 256];
const largestLoss = 0.005;

async function answers(model: Model | Uint8Array, { pixels, labels }: Digits): Promise<number[]> {
  return await withSession(model, async (run) => {
    const { logits } = await run({ x: f32([labels.length, 1, 28, 28], pixels) });
    return Array.from(labels, (_, row) => {
      const scores = logits!.subarray(row * 10, row * 10 + 10);
      return scores.indexOf(Math.max(...scores));
    });
  });
}

function compare(labels: Uint8Array, floats: number[], integers: number[]) {
  const right = (of: number[]) => of.map((digit, row) => digit === labels[row]);
  const [a, b] = [right(floats), right(integers)];
  const counts: PairedCounts = {
    rows: labels.length,
    gained: b.filter((hit, row) => hit && !a[row]).length,
    lost: a.filter((hit, row) => hit && !b[row]).length,
  };
  const share = (hits: boolean[]): number => hits.filter(Boolean).length / labels.length;
  const upper = -pairedProportionCurve(counts).lower(0.05);
  const disagreeing = floats.flatMap((digit, row) =>
    digit === integers[row] ? [] : [`row ${row}: a ${labels[row]}, float says ${digit}, int8 ${integers[row]}`],
  );
  return { ...counts, float: share(a), int8: share(b), upper, disagreeing };
}

describe(`oracle: static int8 of a network trained on 10,000 digits${python ? '' : ' (skipped; npm run test:oracles prepares it)'}`, () => {
  let folder: string;
  before(async function () {
    if (!python) this.skip();
    folder = await mkdtemp(join(tmpdir(), 'goto3-oracle-mnist-'));
  });
  after(async () => {
    if (folder) await rm(folder, { recursive: true });
  });

  it('loses at most half a point, and no more than quantize_static at its size', async function () {
    this.timeout(300_000);
    const digits = await loadDigits();
    assert.equal(digits.labels.length, 10_000);
    const { weights, losses } = await trainDigits(someDigits(digits, 0, training));
    assert.ok(losses.at(-1)! < 0.1 * losses[0]!, `losses ${losses.map((loss) => loss.toFixed(3)).join(', ')}`);
    const model = digitModel(weights);
    const rows = someDigits(digits, training, training + calibration);
    const held = someDigits(digits, training + calibration, digits.labels.length);
    assert.ok(held.labels.length >= 3_000);
    const batches: Tensor[][] = Array.from({ length: calibration / 32 }, (_, i) => [
      tensorOf('x', 'float32', [32, 1, 28, 28], rows.pixels.slice(i * 32 * 784, (i + 1) * 32 * 784)),
    ]);
    const reduceRange = needsReducedRange(await readCpuFeatures());
    const floats = await answers(model, held);
    const say = (name: string, bytes: number, of: ReturnType<typeof compare>): void => {
      const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
      console.log(
        `      ${name}: ${percent(of.int8)} (float ${percent(of.float)}), +${of.gained} −${of.lost} of ${of.rows} rows, ` +
          `loss at most ${(100 * of.upper).toFixed(3)} points, ${bytes} bytes`,
      );
      for (const row of of.disagreeing) console.log(`        ${row}`);
    };

    const task = {
      model: join(folder, 'float.onnx'),
      out: join(folder, 'theirs.onnx'),
      calibration: join(folder, 'rows'),
      ...{ input: 'x', shape: [1, 28, 28], batch: 32, method: 'minMax', perChannel: true, reduceRange },
    };
    await writeFile(task.model, encodeModel(model));
    await writeFile(task.calibration, new Uint8Array(rows.pixels.slice().buffer));
    await writeFile(join(folder, 'task.json'), JSON.stringify(task));
    await promisify(execFile)(python!, [script, 'quantize', join(folder, 'task.json')], { timeout: 100_000 });
    const theirs = compare(held.labels, floats, await answers(await readFile(task.out), held));
    const theirBytes = (await stat(task.out)).size;
    say('quantize_static, min-max', theirBytes, theirs);

    for (const method of ['minMax', 'percentile', 'mse'] as const) {
      const { model: int8 } = await quantizeStatic(model, batches, { calibration: { method }, reduceRange });
      const bytes = encodeModel(int8);
      const ours = compare(held.labels, floats, await answers(bytes, held));
      say(`ours, ${method}`, bytes.length, ours);
      assert.ok(ours.upper <= largestLoss, `${method}: the loss may be ${ours.upper}`);
      assert.ok(bytes.length <= theirBytes);
      if (method === 'minMax') assert.ok(ours.int8 >= theirs.int8, `${ours.int8} against ${theirs.int8}`);
    }
  });
});
