import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { saveModel } from '../src/onnx/proto/save-model.ts';
import { needsReducedRange, readCpuFeatures } from '../src/onnx/quantize/cpu.ts';
import { createRandom } from '../src/stats/random.ts';
import { measureProcess, type ProcessCost } from './process-cost.ts';
import { resNet50, rowShape, type StaticTask } from './quantize-static-task.ts';

/**
 * Static quantization of a ResNet-50 with 256 calibration rows: ours against onnxruntime's `quantize_static`, same model,
 * rows, batches and options, each time in a cold process, in turn. Then the latency of both results beside float's.
 *
 *     npm run bench:quantize-static -- [--python .goto3/venv-oracles/bin/python] [--repeats 5]
 */
const { values: options } = parseArgs({
  options: {
    python: { type: 'string', default: '.goto3/venv-oracles/bin/python' },
    repeats: { type: 'string', default: '5' },
  },
});
const root = fileURLToPath(new URL('../', import.meta.url));
const rows = 256;
const batch = 32;
const folder = await mkdtemp(join(tmpdir(), 'goto3-bench-static-'));
const reduceRange = needsReducedRange(await readCpuFeatures());
const who = ['ours', 'peer'] as const;
type Who = (typeof who)[number];
const pathOf = (name: string): string => join(folder, name);

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
const spread = (values: readonly number[]) => ({
  median: median(values),
  min: Math.min(...values),
  max: Math.max(...values),
});

try {
  const random = createRandom(3);
  const rowSize = rowShape.reduce((product, dim) => product * dim, 1);
  const floats = Float32Array.from({ length: rows * rowSize }, () => random.uniform() * 2 - 1);
  await writeFile(pathOf('rows'), new Uint8Array(floats.buffer));
  await saveModel(resNet50(), pathOf('float.onnx'), { durability: 'fast' });

  const samples: Record<string, Record<Who, ProcessCost[]>> = {};
  const sizes: Record<string, Record<Who, number>> = {};
  for (const method of ['minMax', 'percentile'] as const) {
    const costs: Record<Who, ProcessCost[]> = { ours: [], peer: [] };
    for (let repeat = 0; repeat < Number(options.repeats); repeat++) {
      for (const side of who) {
        const task: StaticTask = {
          model: pathOf('float.onnx'),
          out: pathOf(`${method}.${side}.onnx`),
          input: 'x',
          calibration: pathOf('rows'),
          shape: rowShape,
          batch,
          method,
          perChannel: true,
          reduceRange,
        };
        await writeFile(pathOf('task.json'), JSON.stringify(task));
        const argv: Record<Who, [string, ...string[]]> = {
          ours: [
            process.execPath,
            '--import',
            'tsx',
            join(root, 'bench', 'quantize-static-program.ts'),
            pathOf('task.json'),
          ],
          peer: [options.python, join(root, 'test', 'oracles', 'onnx_static.py'), 'quantize', pathOf('task.json')],
        };
        const cost = await measureProcess(argv[side]);
        costs[side].push(cost);
        const megabytes = (cost.peakRssBytes / 1e6).toFixed(0);
        console.log(`${method.padEnd(10)} ${side}  ${(cost.wallMs / 1000).toFixed(2)} s  ${megabytes} MB`);
      }
    }
    samples[method] = costs;
    const sizeOf = async (side: Who): Promise<number> => (await stat(pathOf(`${method}.${side}.onnx`))).size;
    sizes[method] = { ours: await sizeOf('ours'), peer: await sizeOf('peer') };
  }

  const latencyMs = await latencies(
    { float: pathOf('float.onnx'), ours: pathOf('minMax.ours.onnx'), peer: pathOf('minMax.peer.onnx') },
    floats.subarray(0, rowSize),
  );
  for (const [name, all] of Object.entries(latencyMs)) {
    console.log(`one row, one thread: ${name.padEnd(6)} ${median(all).toFixed(2)} ms`);
  }

  const ratio = (method: string, of: (cost: ProcessCost) => number): number =>
    median(samples[method]!.ours.map(of)) / median(samples[method]!.peer.map(of));
  const ratios: Record<string, number> = {};
  const goals: Record<string, boolean> = {};
  for (const method of Object.keys(samples)) {
    const wall = ratio(method, ({ wallMs }) => wallMs);
    const memory = ratio(method, ({ peakRssBytes }) => peakRssBytes);
    const size = sizes[method]!.ours / sizes[method]!.peer;
    Object.assign(ratios, { [`${method} wall`]: wall, [`${method} peak RSS`]: memory, [`${method} size`]: size });
    goals[`${method}: wall time at most half`] = wall <= 0.5;
    goals[`${method}: peak RSS at most half`] = memory <= 0.5;
    goals[`${method}: output no larger`] = size <= 1;
  }
  const slower = median(latencyMs.ours!.map((ours, i) => ours / latencyMs.peer![i]!));
  ratios['int8 latency'] = slower;
  ratios['float latency / int8 latency'] = median(latencyMs.float!.map((float, i) => float / latencyMs.ours![i]!));
  // Equal kernels differ by the noise of the machine: two hundredths are allowed.
  goals['int8 latency no longer'] = slower <= 1.02;
  const summary = (side: Who) =>
    Object.fromEntries(
      Object.entries(samples).map(([method, costs]) => [
        method,
        {
          wallMs: spread(costs[side].map(({ wallMs }) => wallMs)),
          peakRssBytes: spread(costs[side].map(({ peakRssBytes }) => peakRssBytes)),
          sizeBytes: sizes[method]![side],
          samples: costs[side],
        },
      ]),
    );
  console.log(
    JSON.stringify({
      bench: 'quantize-static',
      ours: { ...summary('ours'), latencyMs: spread(latencyMs.ours!) },
      peers: { onnxruntime: { versions: peerVersions(), ...summary('peer'), latencyMs: spread(latencyMs.peer!) } },
      ratios,
      goals,
      settings: {
        ...{ model: 'resnet-50', rowShape, rows, batch, perChannel: true, reduceRange, node: process.version },
        ...{ cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg(), float: spread(latencyMs.float!) },
      },
    }),
  );
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Medians of a few runs each, the models in turn, so that a busy moment meets all of them. */
async function latencies(models: Record<string, string>, row: Float32Array): Promise<Record<string, number[]>> {
  const engine = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 } as const;
  const sessions = await Promise.all(
    Object.entries(models).map(async ([name, path]) => [name, await InferenceSession.create(path, engine)] as const),
  );
  const feeds = { x: new Tensor('float32', row, [1, ...rowShape]) };
  const times: Record<string, number[]> = Object.fromEntries(sessions.map(([name]) => [name, []]));
  for (let round = 0; round < 32; round++) {
    for (const [name, session] of sessions) {
      const runs: number[] = [];
      for (let run = 0; run < 5; run++) {
        const started = performance.now();
        await session.run(feeds);
        runs.push(performance.now() - started);
      }
      // The first two rounds warm up.
      if (round >= 2) times[name]!.push(median(runs));
    }
  }
  return times;
}

function peerVersions(): unknown {
  const program =
    'import json,onnx,onnxruntime,numpy,sys;print(json.dumps({"onnx":onnx.__version__,' +
    '"onnxruntime":onnxruntime.__version__,"numpy":numpy.__version__,"python":sys.version.split()[0]}))';
  return JSON.parse(execFileSync(options.python, ['-c', program], { encoding: 'utf8' }));
}
