import { strict as assert } from 'node:assert';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Tensor } from '../../src/onnx/model.ts';
import { checkBatch } from '../../src/onnx/quantize/calibrate/batches.ts';
import {
  type CalibrationBatches,
  type CalibrationProgress,
  calibrate,
} from '../../src/onnx/quantize/calibrate/calibrate.ts';
import { CalibrationFailed } from '../../src/onnx/quantize/calibrate/isolated-passes.ts';
import type { CalibrationMethod } from '../../src/onnx/quantize/calibrate/ranges.ts';
import { tensorOf, valuesOf } from '../../src/onnx/tensor.ts';
import { f32, randomFloats, runOnce, seededRandom } from './run.ts';
import { RandomNet, residualNet } from './static-models.ts';

const minMax = { method: 'minMax' } as const;

/** Process ids of our calibration processes. */
function calibrationProcesses(): number[] {
  const listed = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  return listed
    .split('\n')
    .filter((line) => line.includes('calibration-process'))
    .map((line) => Number.parseInt(line, 10));
}

function relu(): { model: ReturnType<RandomNet['g']['toModel']>; value: string } {
  const net = new RandomNet([4]);
  const hidden = net.g.relu(net.x);
  net.g.output('y', net.g.add(hidden, net.g.scalar(1)), ['batch', 4]);
  return { model: net.g.toModel(), value: hidden.name };
}
const row = (...values: number[]): Tensor[] => [tensorOf('x', 'float32', [1, 4], Float32Array.from(values))];

describe('onnx/quantize/calibrate', () => {
  const usual = process.env.TMPDIR;
  let temporary: string;
  before(async () => {
    temporary = await mkdtemp(join(tmpdir(), 'goto3-test-'));
    process.env.TMPDIR = temporary;
  });
  after(async () => {
    if (usual === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = usual;
    await rm(temporary, { recursive: true });
  });
  afterEach(async () => {
    // The engine leaves files of its own there.
    const folders = (await readdir(temporary)).filter((name) => name.startsWith('goto3-'));
    assert.deepEqual(folders, [], 'a folder is left behind');
    assert.deepEqual(calibrationProcesses(), [], 'a process is left behind');
  });

  it('finds the extremes of graph inputs and of values inside, over batches of different sizes', async () => {
    const { model, rows } = residualNet();
    const values = ['x', 'Relu_0:out', 'Flatten_0:out'];
    const batches = [3, 1, 2].map((count) => [rows(count)]);
    const progress: CalibrationProgress[] = [];
    const { ranges, rows: seen } = await calibrate(model, values, batches, {
      method: minMax,
      onProgress: (at) => progress.push(at),
    });
    assert.equal(seen, 6);
    assert.deepEqual(progress, [
      { pass: 1, batches: 1, rows: 3 },
      { pass: 1, batches: 2, rows: 4 },
      { pass: 1, batches: 3, rows: 6 },
    ]);
    const input = batches.flatMap(([tensor]) => [...valuesOf(tensor!, 'float32')]);
    assert.deepEqual(ranges.get('x'), { min: Math.min(...input), max: Math.max(...input) });
    const graph = {
      ...model.graph,
      outputs: values.slice(1).map((name) => ({ name, type: 'float32' as const, dims: undefined })),
    };
    const outputs = await Promise.all(
      batches.map(([tensor]) => runOnce({ ...model, graph }, { x: f32(tensor!.dims, valuesOf(tensor!, 'float32')) })),
    );
    for (const value of values.slice(1)) {
      const seenValues = outputs.flatMap((out) => [...out[value]!]);
      const { min, max } = ranges.get(value)!;
      // These kernels are fused, those of the calibration are not: the last bits may differ.
      assert.ok(
        Math.abs(min - Math.min(...seenValues)) < 1e-5 && Math.abs(max - Math.max(...seenValues)) < 1e-5,
        value,
      );
    }
  });

  it('counts in a second pass over rows that came only once, and reports it', async () => {
    const { model, value } = relu();
    const random = seededRandom(1);
    function* once(): Generator<Tensor[]> {
      for (let i = 0; i < 5; i++) yield [tensorOf('x', 'float32', [100, 4], randomFloats(400, random))];
      yield row(50, -3, 0, 0);
    }
    const passes: string[] = [];
    const method: CalibrationMethod = { method: 'percentile', percentile: 99 };
    const { ranges } = await calibrate(model, ['x', value], once(), {
      method,
      onProgress: ({ pass, batches, rows }) => passes.push(`${pass}/${batches}/${rows}`),
    });
    const counted = [1, 2, 3, 4, 5, 6].map((batch) => `2/${batch}/501`);
    assert.deepEqual(passes, ['1/1/100', '1/2/200', '1/3/300', '1/4/400', '1/5/500', '1/6/501', ...counted]);
    assert.ok(ranges.get(value)!.max < 1.1 && ranges.get('x')!.max < 1.1, 'the one large value is cut off');
    assert.equal(ranges.get(value)!.min, 0);
  });

  it('holds one batch while the process works on another, and leaves the event loop free', async () => {
    const { model, rows } = residualNet();
    let made = 0;
    let worked = 0;
    let ahead = 0;
    function* source(): Generator<Tensor[]> {
      for (; made < 12; made++) {
        ahead = Math.max(ahead, made - worked);
        yield [rows(40)];
      }
    }
    let longest = 0;
    let last = performance.now();
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, 5);
    const started = performance.now();
    await calibrate(model, ['x', 'Relu_0:out'], source(), {
      method: minMax,
      onProgress: ({ batches }) => {
        worked = batches;
      },
    });
    clearInterval(timer);
    assert.equal(made, 12);
    assert.ok(ahead <= 2, `${ahead} batches in memory`);
    assert.ok(longest < 0.8 * (performance.now() - started), `the loop stood still for ${longest} ms`);
  });

  it('takes rows as they lie in a file, wherever their bytes begin', async () => {
    const { model, value } = relu();
    const file = Buffer.alloc(1 + 32);
    for (let i = 0; i < 8; i++) file.writeFloatLE(i - 3, 1 + 4 * i);
    const batches = [0, 1].map((at) => [
      { name: 'x', type: 'float32' as const, dims: [1, 4], bytes: file.subarray(1 + 16 * at, 17 + 16 * at) },
    ]);
    const { ranges } = await calibrate(model, ['x', value], batches, { method: { method: 'mse' } });
    assert.ok(Math.abs(ranges.get('x')!.max - 4) < 0.2 && ranges.get(value)!.min === 0);
  });

  it('gives the same ranges in this process, and ends there with the reason of an abort between batches', async () => {
    const { model, rows } = residualNet();
    const batches = [rows(2), rows(3)].map((tensor) => [tensor]);
    const values = ['x', 'Relu_1:out'];
    for (const method of [minMax, { method: 'percentile', percentile: 99 }] as const) {
      const isolated = await calibrate(model, values, batches, { method });
      assert.deepEqual(await calibrate(model, values, batches, { method, isolate: false }), isolated);
    }
    const { ranges } = await calibrate(model, values, batches, { method: minMax, kernels: 'plain', isolate: false });
    const fused = await calibrate(model, values, batches, { method: minMax, isolate: false });
    assert.ok(Math.abs(ranges.get('Relu_1:out')!.max - fused.ranges.get('Relu_1:out')!.max) < 1e-5);
    for (const pass of [1, 2] as const) {
      const aborting = new AbortController();
      const reason = new Error(`enough in pass ${pass}`);
      const stop = (at: CalibrationProgress): void => {
        if (at.pass === pass) aborting.abort(reason);
      };
      const options = { method: { method: 'mse' }, isolate: false, signal: aborting.signal, onProgress: stop } as const;
      await assert.rejects(calibrate(model, values, batches, options), reason);
    }
  });

  it('ends with the reason of an abort: before it starts, in a pass, and while the source hangs', async () => {
    const { model, rows } = residualNet();
    const reason = new Error('enough');
    const run = (batches: CalibrationBatches, signal: AbortSignal, onProgress = () => {}) =>
      calibrate(model, ['x'], batches, { method: minMax, signal, onProgress });
    await assert.rejects(run([[rows(1)]], AbortSignal.abort(reason)), reason);

    const inPass = new AbortController();
    function* endless(): Generator<Tensor[]> {
      for (;;) yield [rows(2)];
    }
    await assert.rejects(
      run(endless(), inPass.signal, () => inPass.abort(reason)),
      reason,
    );

    const hanging = new AbortController();
    async function* silent(): AsyncGenerator<Tensor[]> {
      yield [rows(2)];
      hanging.abort(reason);
      await new Promise(() => {});
    }
    await assert.rejects(run(silent(), hanging.signal), reason);
  });

  it('says that the process died, in an error that another try may not meet', async () => {
    const { model, rows } = residualNet();
    function* killing(): Generator<Tensor[]> {
      yield [rows(1)];
      for (const pid of calibrationProcesses()) process.kill(pid, 'SIGKILL');
      for (let i = 0; i < 1000; i++) yield [rows(1)];
    }
    await assert.rejects(calibrate(model, ['x'], killing(), { method: minMax }), (error: Error) => {
      assert.ok(error instanceof CalibrationFailed);
      assert.match(error.message, /SIGKILL/);
      return true;
    });
  });

  it('leaves nothing behind when whoever calibrates is killed', async () => {
    const program = fileURLToPath(new URL('./static-calibrate-forever.ts', import.meta.url));
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
    const parent = spawn(process.execPath, ['--import', tsx, program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(parent, 'exit');
    await Promise.race([once(parent.stdout, 'data'), exited]);
    const folders = async () => (await readdir(temporary)).filter((name) => name.startsWith('goto3-'));
    assert.equal((await folders()).length, 1);
    parent.kill('SIGKILL');
    await exited;
    const deadline = Date.now() + 10_000;
    while ((await folders()).length > 0 && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await folders(), []);
  });

  it('passes on what the source of batches throws', async () => {
    const { model } = relu();
    async function* broken(): AsyncGenerator<Tensor[]> {
      yield row(1, 2, 3, 4);
      throw new RangeError('the disk is gone');
    }
    await assert.rejects(calibrate(model, ['x'], broken(), { method: minMax }), /the disk is gone/);
  });

  it('refuses rows that overflow, and having none, by name and batch', async () => {
    const net = new RandomNet([4]);
    const exp = net.g.exp(net.x);
    net.g.output('y', net.g.add(exp, net.g.scalar(1)), ['batch', 4]);
    const reject = (batches: Tensor[][], message: RegExp, method: CalibrationMethod = minMax): Promise<void> =>
      assert.rejects(calibrate(net.g.toModel(), [exp.name], batches, { method }), (error: Error) => {
        assert.ok(error instanceof OnnxError, String(error));
        assert.match(error.message, message);
        return true;
      });
    await reject([], /calibration: there are no batches/);
    await reject([row(1, 2, 3, 4), row(1, 2, 3, 1000)], /batch 1: value "Exp_0:out" is not finite.* to Infinity/);
    await reject([row(1, 2, 3, 4)], /percentile 40, expected one above 50/, { method: 'percentile', percentile: 40 });
  });

  it('refuses a batch that does not fit the inputs', () => {
    const { graph } = relu().model;
    const refuse = (batch: Tensor[], message: RegExp): void =>
      assert.throws(
        () => checkBatch(graph, batch, 'batch 3'),
        (error: Error) => {
          assert.ok(error instanceof OnnxError);
          assert.match(error.message, message);
          return true;
        },
      );
    const zeros = (name: string, dims: number[]) =>
      tensorOf(name, 'float32', dims, new Float32Array(dims.reduce((product, dim) => product * dim, 1)));
    checkBatch(graph, row(1, 2, 3, 4), 'batch 3');
    refuse([], /^batch 3: input "x" is missing/);
    refuse([...row(1, 2, 3, 4), zeros('z', [1, 4])], /the model has no input "z"/);
    refuse([...row(1, 2, 3, 4), ...row(1, 2, 3, 4)], /input "x" occurs twice/);
    refuse([zeros('x', [4])], /expected shape \[batch, 4\], it is \[4\]/);
    refuse([zeros('x', [2, 5])], /expected shape \[batch, 4\], it is \[2, 5\]/);
    refuse([zeros('x', [0, 4])], /input "x": it has no rows/);
    refuse([tensorOf('x', 'int64', [1, 4], new BigInt64Array(4))], /expected float32, it is int64/);
    refuse([{ ...zeros('x', [1, 4]), bytes: new Uint8Array(15) }], /takes 16 bytes, it has 15/);
    refuse(row(1, 2, Number.NaN, 4), /input "x": element 2 is NaN/);
  });
});
