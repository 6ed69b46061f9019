import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { DesiredState } from '../src/contracts/endpoint.ts';
import { type FeatureRow, type ModelSignature, modelFileName, signatureFileName } from '../src/contracts/model.ts';
import { refNames } from '../src/contracts/names.ts';
import { GraphBuilder } from '../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../src/onnx/proto/encode.ts';
import { startEndpoint } from '../src/serving/endpoint/main.ts';
import { summariseLatencies } from '../src/serving/scoring/latency.ts';
import { putFolder } from '../src/store/folders.ts';
import { putJson, putManifest } from '../src/store/manifests.ts';
import { openStore } from '../src/store/open.ts';

/**
 * Throughput and latency of the embedded endpoint on loopback: an embedding-bag classifier over hashed text, mails of
 * about 1.5 KB, tokenised by the endpoint. Closed loop at 1, 4 and 16 callers, then open loop at a stated rate. The
 * callers are a process of their own and share the machine with the endpoint.
 */
const repeats = 5;
const measureMs = 750;
const callers = [1, 4, 16];
const openRatePerSecond = 1_000;
const ceilingMs = 20;

type Order = { url: string; durationMs: number } & ({ callers: number } | { ratePerSecond: number });
interface Sample {
  perSecond: number;
  errors: number;
  latency: ReturnType<typeof summariseLatencies>;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-bench-'));
  const { url, close } = await serveBenchModel(folder);
  const load = fork(fileURLToPath(import.meta.url), ['callers'], { execArgv: process.execArgv });
  try {
    await measure(load, { url, durationMs: 2_000, callers: 16 });
    const closed: Record<string, Sample[]> = Object.fromEntries(callers.map((count) => [count, []]));
    for (let repeat = 0; repeat < repeats; repeat++)
      for (const count of callers)
        closed[count]!.push(await measure(load, { url, durationMs: measureMs, callers: count }));
    const open: Sample[] = [];
    for (let repeat = 0; repeat < repeats; repeat++)
      open.push(await measure(load, { url, durationMs: measureMs, ratePerSecond: openRatePerSecond }));
    report(closed, open);
  } finally {
    load.kill();
    await close();
    await rm(folder, { recursive: true });
  }
}

function report(closed: Record<string, Sample[]>, open: Sample[]): void {
  const ours = {
    closedLoop: Object.fromEntries(
      Object.entries(closed).map(([count, samples]) => [`${count} callers`, summary(samples)]),
    ),
    openLoop: { ratePerSecond: openRatePerSecond, ...summary(open) },
  };
  for (const [name, figures] of [
    ...Object.entries(ours.closedLoop),
    [`open loop, ${openRatePerSecond}/s`, ours.openLoop] as const,
  ])
    console.log(
      `${name}: ${figures.perSecond.median.toFixed(0)} answers/s (${figures.perSecond.least.toFixed(0)} to ${figures.perSecond.most.toFixed(0)}), p50 ${figures.p50Ms.median.toFixed(2)} ms, p99 ${figures.p99Ms.median.toFixed(2)} ms, ${figures.errors} errors`,
    );
  const errors = [...Object.values(closed).flat(), ...open].reduce((sum, sample) => sum + sample.errors, 0);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, node: process.version, loadAverage: loadavg()[0] };
  const goals = {
    [`${openRatePerSecond} requests a second, open loop, at a p99 of at most ${ceilingMs} ms`]:
      ours.openLoop.perSecond.median >= 0.99 * openRatePerSecond && ours.openLoop.p99Ms.median <= ceilingMs,
    'no failed request': errors === 0,
  };
  console.log(
    JSON.stringify({ bench: 'endpoint', ours, peers: {}, ratios: {}, goals, machine, raw: { closed, open } }),
  );
}

const summary = (samples: Sample[]) => ({
  perSecond: spread(samples.map(({ perSecond }) => perSecond)),
  p50Ms: spread(samples.map(({ latency }) => latency.p50Ms)),
  p99Ms: spread(samples.map(({ latency }) => latency.p99Ms)),
  errors: samples.reduce((sum, sample) => sum + sample.errors, 0),
});

function spread(values: number[]): { median: number; least: number; most: number } {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)]!, least: sorted[0]!, most: sorted.at(-1)! };
}

async function measure(load: ChildProcess, order: Order): Promise<Sample> {
  load.send(order);
  const [sample] = (await once(load, 'message')) as [Sample];
  return sample;
}

// ---------------------------------------------------------------- the endpoint

async function serveBenchModel(folder: string): Promise<{ url: string; close(): Promise<void> }> {
  const signature: ModelSignature = {
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
  const modelFolder = join(folder, 'model');
  await mkdir(modelFolder);
  await writeFile(join(modelFolder, modelFileName), embeddingBag(2 ** 16, 16));
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

const waves = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index) / 100);

// ---------------------------------------------------------------- the callers

async function obey(order: Order): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 'callers' in order ? order.callers : 256 });
  const latenciesMs: number[] = [];
  let errors = 0;
  let next = 0;
  const ask = async (dueAt: number): Promise<void> => {
    const ok = await invoke(order.url, agent, mails[next++ % mails.length]!);
    if (ok) latenciesMs.push(performance.now() - dueAt);
    else errors++;
  };
  const startedAt = performance.now();
  const endsAt = startedAt + order.durationMs;
  if ('callers' in order) {
    const one = async (): Promise<void> => {
      while (performance.now() < endsAt) await ask(performance.now());
    };
    await Promise.all(Array.from({ length: order.callers }, one));
  } else {
    // The clock of a request starts when it was due, so that a stall is charged to all who would have come meanwhile.
    const asked: Promise<void>[] = [];
    const count = (order.durationMs / 1_000) * order.ratePerSecond;
    while (asked.length < count) {
      const dueAt = startedAt + (asked.length / order.ratePerSecond) * 1_000;
      if (dueAt <= performance.now()) asked.push(ask(dueAt));
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(asked);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  agent.destroy();
  const sample: Sample = { perSecond: latenciesMs.length / seconds, errors, latency: summariseLatencies(latenciesMs) };
  process.send!(sample);
}

function invoke(url: string, agent: Agent, mail: string): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' };
    const asked = request(`${url}/invocations`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
    });
    asked.on('error', () => resolve(false));
    asked.end(mail);
  });
}

/** Texts with the length and the vocabulary growth of mails: 250 words, frequent ones more often (Zipf). */
const mails: string[] = Array.from({ length: 200 }, (_, mail): string => {
  let state = mail + 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const words = Array.from({ length: 250 }, () => `w${Math.floor(20_000 ** random())}x`);
  const row: FeatureRow = { subject: words.slice(0, 6).join(' '), body: words.join(' ') };
  return JSON.stringify(row);
});

if (process.argv[2] === 'callers') process.on('message', (order: unknown) => void obey(order as Order));
else await main();
