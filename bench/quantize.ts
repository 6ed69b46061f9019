import { execFileSync, fork, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inferenceModel } from '../recipes/text-classifier/inference-graph.ts';
import { randomStream } from '../recipes/text-classifier/random.ts';
import { initialWeights } from '../recipes/text-classifier/weights.ts';
import { fetchMiniLm } from '../scripts/fetch-minilm.ts';
import { buildEncoder } from '../src/onnx/encoder/build.ts';
import { openEncoder } from '../src/onnx/encoder/folder.ts';
import { saveModel } from '../src/onnx/proto/save-model.ts';
import { readCpuFeatures } from '../src/onnx/quantize/cpu.ts';
import { instructionSetOf } from '../src/onnx/quantize/instruction-set.ts';
import type { LatencyOrder } from './quantize-latency.ts';

/**
 * Dynamic int8 beside Python's `onnxruntime.quantization.quantize_dynamic` of the same version: cold processes in turns,
 * the same file, the same options (a scale per channel, 7-bit weights). Ours is `goto3 quantize`, as people call it. Then
 * float, ours and theirs in the same engine on one thread, in turns. Models: all-MiniLM-L6-v2 (real weights) and the spam
 * example's shape, with rows as different in size as a trained table's.
 */
const repeats = 5;
const root = fileURLToPath(new URL('../', import.meta.url));
const goto3 = join(root, 'bin', 'goto3');
const peerProgram = join(root, 'bench', 'quantize-peer.py');

interface Cost {
  wallMs: number;
  cpuMs: number;
  peakRssBytes: number;
}

async function main(): Promise<void> {
  const python = peerPython();
  const folder = await mkdtemp(join(tmpdir(), 'goto3-bench-quantize-'));
  try {
    const ours: Record<string, unknown> = {};
    const peers: Record<string, unknown> = {};
    const ratios: Record<string, Record<string, number>> = {};
    for (const { name, file, latencies } of await models(folder)) {
      const [mine, theirs] = [join(folder, `${name}.ours.onnx`), join(folder, `${name}.theirs.onnx`)];
      const commands = {
        ours: [process.execPath, goto3, 'quantize', file, '-o', mine],
        peer: [python, peerProgram, file, theirs],
      } as const;
      // Once each for compiled files, ours and Python's, and the disk's cache.
      for (const command of Object.values(commands)) await costOf(command);
      const costs: Record<'ours' | 'peer', Cost[]> = { ours: [], peer: [] };
      for (let i = 0; i < repeats; i++)
        for (const who of i % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) {
          costs[who].push(await costOf(commands[who]));
          console.error(`${name}, ${i + 1} of ${repeats}, ${who}: ${costs[who].at(-1)!.wallMs.toFixed(0)} ms`);
        }
      const sizes = { float: (await stat(file)).size, ours: (await stat(mine)).size, peer: (await stat(theirs)).size };
      const speeds: Record<string, Record<string, Spread & { raw: number[] }>> = {};
      for (const [what, order] of Object.entries(latencies)) {
        const times = await latency({ ...order, models: { float: file, ours: mine, peer: theirs } });
        speeds[what] = Object.fromEntries(
          Object.entries(times).map(([model, ms]) => {
            const raw = ms.map((t) => t / order.rows);
            return [model, { ...spreadOf(raw), raw }];
          }),
        );
      }
      ours[name] = {
        ...summary(costs.ours),
        sizeBytes: sizes.ours,
        floatBytes: sizes.float,
        msPerRow: speeds,
        raw: costs.ours,
      };
      peers[name] = { ...summary(costs.peer), sizeBytes: sizes.peer, raw: costs.peer };
      const ratio = (of: (cost: Cost) => number): number => median(costs.ours.map(of)) / median(costs.peer.map(of));
      ratios[name] = {
        wall: ratio(({ wallMs }) => wallMs),
        cpu: ratio(({ cpuMs }) => cpuMs),
        peakRss: ratio(({ peakRssBytes }) => peakRssBytes),
        size: sizes.ours / sizes.peer,
        ...Object.fromEntries(
          Object.entries(speeds).flatMap(([what, of]) => [
            [`${what}, int8 against the peer's`, pairedRatio(of.ours!.raw, of.peer!.raw)],
            [`${what}, float against int8`, pairedRatio(of.float!.raw, of.ours!.raw)],
          ]),
        ),
      };
    }
    console.log(JSON.stringify(await report(ours, peers, ratios, python)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function report(ours: object, peers: object, ratios: Record<string, Record<string, number>>, python: string) {
  return {
    bench: 'quantize',
    machine: {
      cpu: cpus()[0]?.model,
      instructionSet: instructionSetOf(await readCpuFeatures()),
      cores: cpus().length,
      load: loadavg()[0],
      node: process.version,
    },
    versions: versionsOf(python),
    repeats,
    ours,
    peers,
    ratios,
    goals: Object.fromEntries(Object.entries(ratios).flatMap(([model, ratio]) => goalsOf(model, ratio))),
  };
}

function goalsOf(model: string, ratio: Record<string, number>): [goal: string, isMet: boolean][] {
  const latencies = Object.entries(ratio).filter(([name]) => name.endsWith("the peer's"));
  return [
    [`${model}: wall time of a cold process at most a quarter`, ratio.wall! <= 0.25],
    [`${model}: peak RSS at most half`, ratio.peakRss! <= 0.5],
    [`${model}: output no larger`, ratio.size! <= 1],
    // Equal kernels differ by the noise of the machine: two hundredths are allowed.
    [`${model}: int8 latency at most that of the peer's output`, latencies.every(([, value]) => value <= 1.02)],
  ];
}

async function models(folder: string) {
  const encoder = openEncoder(await fetchMiniLm());
  const miniLm = join(folder, 'minilm.onnx');
  await saveModel(buildEncoder(encoder, { kind: 'embedding', ...encoder.pooling }), miniLm, { durability: 'fast' });
  encoder.close();
  const spam = join(folder, 'spam.onnx');
  const shape = { buckets: 2 ** 17, dimensions: 8, hidden: 16, classes: 2 };
  const weights = initialWeights(shape, 1);
  fillTable(weights.table, shape.dimensions);
  await saveModel(inferenceModel(weights, shape), spam, { durability: 'fast' });
  const tokens = (rows: number, length: number, among: number): number[] =>
    Array.from({ length: rows * length }, (_, i) => 1 + ((i * 7_919) % (among - 1)));
  const text = (rows: number, length: number, runs: number): Omit<LatencyOrder, 'models'> => ({
    feeds: {
      input_ids: { type: 'int64', dims: [rows, length], data: tokens(rows, length, 30_000) },
      attention_mask: { type: 'int64', dims: [rows, length], data: tokens(rows, length, 2) },
    },
    rows,
    runs,
  });
  const bag = (rows: number, runs: number): Omit<LatencyOrder, 'models'> => ({
    feeds: { ids: { type: 'int32', dims: [rows, 300], data: tokens(rows, 300, 2 ** 17) } },
    rows,
    runs,
  });
  return [
    {
      name: 'minilm',
      file: miniLm,
      latencies: {
        '1 text of 32 tokens': text(1, 32, 60),
        '1 text of 128 tokens': text(1, 128, 40),
        '16 texts of 64 tokens': text(16, 64, 12),
      },
    },
    {
      name: 'spam',
      file: spam,
      latencies: { '1 mail of 300 tokens': bag(1, 400), '64 mails of 300 tokens': bag(64, 60) },
    },
  ];
}

/** A trained table has a fifth of its rows at zero, and a factor of 40 between the first and the last percentile of the rest. */
function fillTable(table: Float32Array, dimensions: number): void {
  const random = randomStream(1, 2);
  for (let row = 0; row < table.length; row += dimensions) {
    const size = random() < 0.2 ? 0 : 0.016 * 40 ** (random() + random() - 1);
    for (let c = 0; c < dimensions; c++) table[row + c] = (2 * random() - 1) * size;
  }
}

/** A process from its start to its end; its high-water mark is the kernel's own, read until it is gone. */
async function costOf([command, ...argv]: readonly string[]): Promise<Cost> {
  const startedAt = performance.now();
  const child = spawn(command!, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  });
  let [isRunning, peakRssBytes, cpuMs] = [true, 0, 0];
  const watched = (async () => {
    while (isRunning) {
      try {
        const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
        peakRssBytes = Math.max(peakRssBytes, 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
        const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ').at(-1)!.split(' ');
        // utime and stime, in hundredths of a second.
        cpuMs = 10 * (Number(fields[11]) + Number(fields[12]));
      } catch {
        // It ended in between.
      }
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
  })();
  const code = await ended;
  const wallMs = performance.now() - startedAt;
  isRunning = false;
  await watched;
  if (code !== 0) throw new Error(`${command} ${argv.join(' ')} ended with ${code}: ${complaints}`);
  return { wallMs, cpuMs, peakRssBytes };
}

async function latency(order: LatencyOrder): Promise<Record<string, number[]>> {
  const child = fork(fileURLToPath(new URL('./quantize-latency.ts', import.meta.url)), [], {
    execArgv: process.execArgv,
  });
  return await new Promise((resolve, reject) => {
    child.once('message', (answer) => resolve(answer as Record<string, number[]>));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the latency process ended with ${code}`)));
    child.send(order);
  });
}

interface Spread {
  median: number;
  p10: number;
  p90: number;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { median: rank(0.5), p10: rank(0.1), p90: rank(0.9) };
}
/** The models took turns: a busy moment meets both of a pair. */
const pairedRatio = (ours: readonly number[], theirs: readonly number[]): number =>
  median(ours.map((ms, i) => ms / theirs[i]!));
const median = (values: readonly number[]): number => spreadOf(values).median;

const summary = (costs: readonly Cost[]) => ({
  wallMs: spreadOf(costs.map(({ wallMs }) => wallMs)),
  cpuMs: spreadOf(costs.map(({ cpuMs }) => cpuMs)),
  peakRssBytes: spreadOf(costs.map(({ peakRssBytes }) => peakRssBytes)),
});

/** A Python that has the peer: GOTO3_ORACLE_PYTHON, or the one that `npm run test:oracles` prepares. */
function peerPython(): string {
  const python = process.env.GOTO3_ORACLE_PYTHON ?? join(root, '.goto3', 'venv-oracles', 'bin', 'python');
  if (existsSync(python)) return python;
  throw new Error(
    `${python} is missing: run npm run test:oracles once, or name a Python with onnx and onnxruntime in GOTO3_ORACLE_PYTHON`,
  );
}

function versionsOf(python: string): Record<string, string> {
  const ask =
    'import json,onnx,onnxruntime,numpy,sys;print(json.dumps({"onnx":onnx.__version__,"onnxruntime":onnxruntime.__version__,"numpy":numpy.__version__,"python":sys.version.split()[0]}))';
  return JSON.parse(execFileSync(python, ['-c', ask], { encoding: 'utf8' })) as Record<string, string>;
}

await main();
