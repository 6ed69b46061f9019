import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chunksOf } from '../../src/serving/scoring/chunks.ts';
import { summariseLatencies } from '../../src/serving/scoring/latency.ts';
import { probe } from '../../src/serving/scoring/probe.ts';
import { createScorer } from '../../src/serving/scoring/scorer.ts';
import { constantModel, linearModel, nanModel, slowModel, writeModel } from './models.ts';
import { until } from './waiting.ts';

const never = new AbortController().signal;

describe('scoring', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-scoring-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('scores a stream of rows in order and says how far it is', async () => {
    const scorer = await createScorer({ modelFolder: await writeModel(folder, linearModel({ wx: 1 })), signal: never });
    const progress: number[] = [];
    async function* rows() {
      for (let index = 0; index < 1_000; index++) yield { x: (index - 500) / 100, y: 0 };
    }
    const predictions = await scorer.score(rows(), (done) => progress.push(done));
    assert.equal(predictions.length, 1_000);
    assert.ok(
      predictions.every(({ score }, index) => Math.abs(score - 1 / (1 + Math.exp(-(index - 500) / 100))) < 1e-6),
    );
    assert.deepEqual(progress, [256, 512, 768, 1_000]);

    const latency = await scorer.latency({ samples: 50, warmup: 10, rows: [{ x: 1, y: 1 }] });
    assert.equal(latency.samples, 50);
    assert.ok(latency.p50Ms > 0 && latency.p50Ms <= latency.p95Ms && latency.p95Ms <= latency.p99Ms);

    await assert.rejects(scorer.score([{ x: 1, y: 1 }, { x: 1 }]), { type: 'InvalidInput', message: /rows 0 to 1/ });
    assert.equal((await scorer.score([{ x: 1, y: 1 }])).length, 1);
    await scorer.close();
    await assert.rejects(scorer.score([{ x: 1, y: 1 }]), { type: 'InferenceCrashed' });
  });

  it('turns a killed process into a typed error', async () => {
    const scorer = await createScorer({ modelFolder: await writeModel(folder, slowModel(0.5)), signal: never });
    async function* endless() {
      for (;;) yield { x: 1, y: 1 };
    }
    const killScorer = async (): Promise<void> => {
      for (const pid of await processesIn(folder)) process.kill(pid, 'SIGKILL');
    };
    const scoring = scorer.score(endless(), () => void killScorer());
    await assert.rejects(scoring, { type: 'InferenceCrashed', message: /SIGKILL/ });
    await scorer.close();
  });

  it('ends a model that takes too long', async () => {
    const modelFolder = await writeModel(folder, slowModel(0.5));
    await assert.rejects(createScorer({ modelFolder, signal: never, timeoutMs: 1 }), {
      type: 'InferenceCrashed',
      message: /no answer to "load" within 1 ms/,
    });
    await until('no process is left', async () => (await processesIn(folder)).length === 0);
  });

  it('stops when it is cancelled', async () => {
    const cancelled = new AbortController();
    const scorer = await createScorer({
      modelFolder: await writeModel(folder, slowModel(0.5)),
      signal: cancelled.signal,
    });
    const rows = Array.from({ length: 100_000 }, () => ({ x: 1, y: 1 }));
    await assert.rejects(
      scorer.score(rows, () => cancelled.abort(new Error('enough'))),
      { message: 'enough' },
    );
    await until('no process is left', async () => (await processesIn(folder)).length === 0);
    await scorer.close();
  });

  it('probes: a good model, a broken one, one that fails on the rows', async () => {
    const rows = [{ x: -1, y: 1 }];
    const good = await writeModel(join(folder, 'good'), constantModel(0.5));
    const nan = await writeModel(join(folder, 'nan'), nanModel());
    const broken = await writeModel(join(folder, 'broken'), new Uint8Array([1, 2, 3]));
    const [first, second, third] = await Promise.all(
      [good, nan, broken].map((modelFolder) => probe({ modelFolder, signal: never, rows })),
    );
    assert.deepEqual(first, { servable: true });
    assert.match(JSON.stringify(second), /PredictionFailed.*finite/);
    assert.match(JSON.stringify(third), /ModelNotServable.*does not load/);
  });

  it('cuts chunks by rows and by size, whatever one row weighs', async () => {
    const rows = ['a', 'bb', 'x'.repeat(100), 'c', 'd', 'e'].map((text) => ({ text }));
    const chunks: number[] = [];
    for await (const chunk of chunksOf(rows, { maxRows: 2, maxCharacters: 10 })) chunks.push(chunk.length);
    assert.deepEqual(chunks, [2, 1, 2, 1]);
  });

  it('gives percentiles that were measured', () => {
    const latencies = Array.from({ length: 100 }, (_, index) => 100 - index);
    assert.deepEqual(summariseLatencies(latencies), { p50Ms: 50, p95Ms: 95, p99Ms: 99, samples: 100 });
    assert.deepEqual(summariseLatencies([3]), { p50Ms: 3, p95Ms: 3, p99Ms: 3, samples: 1 });
  });
});

/** Child processes of ours that work in a folder: a scorer's. */
async function processesIn(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const children = await Promise.all(
    pids.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
      const isOurs = status.includes(`\nPPid:\t${process.pid}\n`) && !/\nState:\tZ/.test(status);
      return isOurs && (await readlink(`/proc/${pid}/cwd`).catch(() => '')) === folder ? [pid] : [];
    }),
  );
  return children.flat();
}
