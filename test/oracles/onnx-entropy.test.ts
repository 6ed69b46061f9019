import { strict as assert } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { entropyRange } from '../../src/onnx/quantize/calibrate/entropy.ts';
import { count, createHistogram } from '../../src/onnx/quantize/calibrate/histogram.ts';
import { seededRandom } from '../onnx/run.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const script = join(import.meta.dirname, 'onnx_entropy.py');

/** Normal numbers, some `wide` times as large; cut off at zero, or shifted, if asked for. */
function values(seed: number): Float32Array {
  const random = seededRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const [wide, every, size] = [1 + 8 * (seed % 5), 50 * (1 + (seed % 3)), 4_000 + 3_000 * (seed % 4)];
  return Float32Array.from({ length: size }, (_, i) => {
    const value = normal() * (i % every === 0 ? wide : 1);
    if (seed % 4 === 1) return Math.max(0, value);
    return seed % 4 === 2 ? value + 2 : value;
  });
}

describe(`oracle: entropy calibration of onnxruntime${python ? '' : ' (skipped; npm run test:oracles prepares it)'}`, () => {
  it('finds the same range to the last bit, of 2048 bins', async function () {
    if (!python) return this.skip();
    this.timeout(120_000);
    const folder = await mkdtemp(join(tmpdir(), 'goto3-oracle-entropy-'));
    try {
      const cases = Array.from({ length: 8 }, (_, seed) => values(seed));
      const paths = cases.map((_, seed) => join(folder, `${seed}.f32`));
      await Promise.all(paths.map((path, i) => writeFile(path, new Uint8Array(cases[i]!.buffer))));
      const { stdout } = await promisify(execFile)(python, [script, ...paths]);
      const ours = cases.map((list) => {
        const histogram = createHistogram({ min: Math.min(...list), max: Math.max(...list) }, 2048);
        assert.equal(count(histogram, list), 0);
        return entropyRange(histogram);
      });
      assert.deepEqual(
        ours.map(({ min, max }) => [min, max]),
        JSON.parse(stdout),
      );
      // Not just everything that there was.
      assert.ok(ours.some(({ max }, i) => max < Math.max(...cases[i]!) / 2));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
