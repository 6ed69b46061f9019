import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { DesiredState } from '../src/contracts/endpoint.ts';
import { type ModelSignature, modelFileName, signatureFileName } from '../src/contracts/model.ts';
import { refNames } from '../src/contracts/names.ts';
import { GraphBuilder } from '../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../src/onnx/proto/encode.ts';
import { startEndpoint } from '../src/serving/endpoint/main.ts';
import { putFolder } from '../src/store/folders.ts';
import { putJson, putManifest } from '../src/store/manifests.ts';
import { openStore } from '../src/store/open.ts';
import type { Order, Sample } from './endpoint-load.ts';
import { startPeer } from './endpoint-peer/peer.ts';

/**
 * Throughput and latency of the embedded endpoint on loopback. Text: an embedding-bag classifier over hashed text, mails
 * of about 1.5 KB, tokenised by the endpoint; closed loop at 1, 4 and 16 callers, then open loop at a stated rate. Tabular:
 * 32 numbers through a small network, beside FastAPI + uvicorn + ONNX Runtime with the same file, in turns. Ours also
 * leaves evidence of every answer in the store; the peer does not. Callers are a process of their own and share the
 * machine with the servers.
 */
type Measured = Sample & { frontCpuMicros: number };
const repeats = 5;
const measureMs = 750;
const textCallers = [1, 4, 16];
const tabularCallers = [1, 16];
const openRatePerSecond = 1_000;
const ceilingMs = 20;

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-bench-'));
  const load = fork(fileURLToPath(new URL('./endpoint-load.ts', import.meta.url)), [], { execArgv: process.execArgv });
  const text = await serve(join(folder, 'text'), embeddingBag(2 ** 16, 16), textSignature);
  const table = network(32, 64);
  const tabular = await serve(join(folder, 'tabular'), table, tabularSignature);
  const peer = await startPeer(join(folder, 'tabular', 'model', modelFileName));
  try {
    for (const url of [text.url, tabular.url, peer.url])
      await measure(load, { url, durationMs: 1_500, callers: 16, work: url === text.url ? 'text' : 'tabular' });
    const texts: Record<string, Measured[]> = {};
    const ours: Record<string, Measured[]> = {};
    const theirs: Record<string, Measured[]> = {};
    const add = async (to: Record<string, Measured[]>, name: string, order: Order): Promise<void> => {
      to[name] = [...(to[name] ?? []), await measure(load, order)];
    };
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const callers of textCallers)
        await add(texts, `${callers} callers`, { url: text.url, durationMs: measureMs, callers, work: 'text' });
      await add(texts, openLoop, {
        url: text.url,
        durationMs: measureMs,
        ratePerSecond: openRatePerSecond,
        work: 'text',
      });
      for (const callers of tabularCallers)
        for (const [to, url] of [
          [ours, tabular.url],
          [theirs, peer.url],
        ] as const)
          await add(to, `${callers} callers`, { url, durationMs: measureMs, callers, work: 'tabular' });
    }
    report({ texts, ours, theirs }, peer.versions);
  } finally {
    load.kill();
    await peer.stop();
    await text.close();
    await tabular.close();
    await rm(folder, { recursive: true });
  }
}

const openLoop = `open loop, ${openRatePerSecond}/s`;

function report(
  raw: { texts: Record<string, Measured[]>; ours: Record<string, Measured[]>; theirs: Record<string, Measured[]> },
  versions: Record<string, string>,
): void {
  const summaries = (samples: Record<string, Measured[]>) =>
    Object.fromEntries(Object.entries(samples).map(([name, some]) => [name, summary(some)]));
  const [text, ours, theirs] = [summaries(raw.texts), summaries(raw.ours), summaries(raw.theirs)];
  for (const [what, figures] of [
    ['text', text],
    ['tabular', ours],
    ['tabular, FastAPI', theirs],
  ] as const)
    for (const [name, { perSecond, p50Ms, p99Ms, errors }] of Object.entries(figures))
      console.log(
        `${what}, ${name}: ${perSecond.median.toFixed(0)} answers/s (${perSecond.least.toFixed(0)} to ${perSecond.most.toFixed(0)}), p50 ${p50Ms.median.toFixed(2)} ms, p99 ${p99Ms.median.toFixed(2)} ms, ${errors} errors`,
      );
  const ratios = Object.fromEntries(
    Object.keys(ours).map((name) => [
      name,
      {
        answersPerSecond: ours[name]!.perSecond.median / theirs[name]!.perSecond.median,
        p50: ours[name]!.p50Ms.median / theirs[name]!.p50Ms.median,
        p99: ours[name]!.p99Ms.median / theirs[name]!.p99Ms.median,
      },
    ]),
  );
  for (const [name, { answersPerSecond, p99 }] of Object.entries(ratios))
    console.log(`ours to FastAPI, ${name}: ${answersPerSecond.toFixed(2)} × the answers, ${p99.toFixed(2)} × the p99`);
  const errors = Object.values({ ...raw.texts, ...raw.ours }).flat();
  const open = text[openLoop]!;
  const goals = {
    [`${openRatePerSecond} texts a second, open loop, at a p99 of at most ${ceilingMs} ms`]:
      open.perSecond.median >= 0.99 * openRatePerSecond && open.p99Ms.median <= ceilingMs,
    'no failed request': errors.every((sample) => sample.errors === 0),
    'at least 2 times the answers of FastAPI at 16 callers': ratios['16 callers']!.answersPerSecond >= 2,
  };
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, loadAverage: loadavg()[0] };
  const peers = { fastapi: { versions, ...theirs } };
  console.log(JSON.stringify({ bench: 'endpoint', ours: { text, tabular: ours }, peers, ratios, goals, machine, raw }));
}

const summary = (samples: Measured[]) => ({
  perSecond: spread(samples.map(({ perSecond }) => perSecond)),
  p50Ms: spread(samples.map(({ latency }) => latency.p50Ms)),
  p99Ms: spread(samples.map(({ latency }) => latency.p99Ms)),
  frontCpuMicros: spread(samples.map(({ frontCpuMicros }) => frontCpuMicros)),
  errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
});

function spread(values: number[]): { median: number; least: number; most: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)]!, least: sorted[0]!, most: sorted.at(-1)! };
}

/** CPU time is that of this process, the endpoint's front: it says more than the clock does on a busy machine. */
async function measure(load: ChildProcess, order: Order): Promise<Measured> {
  const before = process.cpuUsage();
  load.send(order);
  const [sample] = (await once(load, 'message')) as [Sample];
  const { user, system } = process.cpuUsage(before);
  const answers = (sample.perSecond * order.durationMs) / 1_000;
  return { ...sample, frontCpuMicros: (user + system) / Math.max(1, answers) };
}

// ---------------------------------------------------------------- the endpoint

const textSignature: ModelSignature = {
  schema: 'goto3/signature/v1',
  task: 'binary-classification',
  preprocessing: {
    kind: 'hashed-text',
    features: ['subject', 'body'],
    buckets: 2 ** 16,
    maxTokens: 512,
    wordNgrams: 2,
    version: 1,
  },
  labels: ['ham', 'spam'],
  output: 'probabilities',
};
const tabularSignature: ModelSignature = {
  ...textSignature,
  preprocessing: { kind: 'numeric', features: Array.from({ length: 32 }, (_, place) => `column-${place}`) },
};

async function serve(
  folder: string,
  graph: Uint8Array,
  signature: ModelSignature,
): Promise<{ url: string; close(): Promise<void> }> {
  const modelFolder = join(folder, 'model');
  await mkdir(modelFolder, { recursive: true });
  await writeFile(join(modelFolder, modelFileName), graph);
  await writeFile(join(modelFolder, signatureFileName), JSON.stringify(signature));

  const store = await openStore(join(folder, 'store'), { durability: 'fast' });
  const nothing = await store.blobs.put(Buffer.from('nothing'));
  const files = await putFolder(store, modelFolder);
  const names = { model: 'bench', loop: 'bench', cycle: 1, precision: 'fp32' as const };
  const model = await putManifest(store, {
    kind: 'Model',
    parents: [],
    createdAt: new Date().toISOString(),
    ...names,
    files,
    signature,
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    run: nothing,
    dataset: nothing,
  });
  const variants = [{ name: 'stable', model, weight: 100, shadow: false }];
  const state: DesiredState = { schema: 'goto3/desired/v1', endpoint: 'bench', generation: 1, variants, frozen: null };
  const why = { operation: 'bench', by: 'bench', reason: 'bench' };
  await store.refs.compareAndSet(refNames.desired('bench'), undefined, await putJson(store, DesiredState, state), why);

  const endpoint = await startEndpoint({
    endpoint: 'bench',
    replica: 'r1',
    storeUrl: store.url,
    port: 0,
    cacheFolder: join(folder, 'cache'),
    log: pino({ level: 'error' }),
  });
  while ((await fetch(`${endpoint.url}/ping`)).status !== 200) await new Promise((resolve) => setTimeout(resolve, 50));
  return endpoint;
}

/** Sum of embeddings of a row's tokens, a linear layer, softmax. The values do not matter here, the work does. */
function embeddingBag(buckets: number, width: number): Uint8Array {
  const graph = new GraphBuilder('embedding-bag');
  const ids = graph.cast(graph.input('ids', 'int32', ['batch', 'tokens']), 'int64');
  const table = graph.initializer('table', 'float32', [buckets, width], waves(buckets * width));
  const bag = graph.reduceSum(graph.gather(table, ids), [1]);
  const weights = graph.initializer('weights', 'float32', [width, 2], waves(width * 2));
  const biases = graph.initializer('biases', 'float32', [2], new Float32Array(2));
  graph.output('probabilities', graph.softmax(graph.gemm(bag, weights, biases)), ['batch', 2]);
  return encodeModel(graph.toModel());
}

/** Two layers over a row of numbers. */
function network(columns: number, width: number): Uint8Array {
  const graph = new GraphBuilder('network');
  const input = graph.input('features', 'float32', ['batch', columns]);
  const hidden = graph.initializer('hidden', 'float32', [columns, width], waves(columns * width));
  const weights = graph.initializer('weights', 'float32', [width, 2], waves(width * 2));
  const scores = graph.matMul(graph.relu(graph.matMul(input, hidden)), weights);
  graph.output('probabilities', graph.softmax(scores), ['batch', 2]);
  return encodeModel(graph.toModel());
}

const waves = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index) / 100);

await main();
