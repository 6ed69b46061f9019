import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type ExitRecord, type JobFolder, jobFolderOf } from '../../src/jobs/local/job-folder.ts';
import { pruneJobFolders } from '../../src/jobs/local/prune.ts';

const dayMs = 86_400_000;
const now = new Date('2026-06-01T00:00:00Z');

describe('pruning of job folders', () => {
  let jobs: string;
  beforeEach(async () => {
    jobs = await mkdtemp(join(tmpdir(), 'goto3-prune-'));
  });
  afterEach(() => rm(jobs, { recursive: true }));

  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  };
  /** @param state undefined: it has not ended */
  const job = async (name: string, state?: ExitRecord['state'], daysAgo = 0): Promise<JobFolder> => {
    const folder = jobFolderOf(jobs, name);
    await write(folder.record, '{}');
    await write(join(folder.container.model, 'model.onnx'), 'a model');
    await write(join(folder.container.checkpoints, 'last'), 'a checkpoint');
    await write(folder.stdout, 'said');
    await write(folder.metrics, '{}');
    const endedAt = new Date(now.getTime() - daysAgo * dayMs).toISOString();
    if (state) await write(folder.exit, JSON.stringify({ state, endedAt } satisfies ExitRecord));
    return folder;
  };
  const left = async ({ path }: JobFolder): Promise<string[]> => (await readdir(path)).sort();
  const all = ['exit.json', 'job.json', 'logs', 'metrics.jsonl', 'ml'];

  it('removes files, later logs, and never the record or the end', async () => {
    const running = await job('spam/1/train/1');
    const young = await job('spam/2/train/1', 'succeeded', 13);
    const collected = await job('spam/3/train/1', 'succeeded', 15);
    const failed = await job('spam/4/train/1', 'failed', 15);
    const failedLongAgo = await job('spam/5/train/1', 'failed', 31);
    const old = await job('spam/6/train/1', 'cancelled', 91);
    await write(join(jobs, 'wrapper-1.mjs'), 'not a job');
    assert.deepEqual(await pruneJobFolders(jobs, { now }), { ended: 5, files: 3, logs: 1 });
    assert.deepEqual(await left(running), all.slice(1));
    for (const folder of [young, failed]) assert.deepEqual(await left(folder), all);
    for (const folder of [collected, failedLongAgo]) assert.deepEqual(await left(folder), all.slice(0, 4));
    assert.deepEqual(await left(old), all.slice(0, 2));
    assert.deepEqual(await pruneJobFolders(jobs, { now }), { ended: 5, files: 0, logs: 0 });
  });

  it('ends what a killed run began', async () => {
    const folder = await job('spam/1/train/1', 'succeeded', 20);
    await rm(folder.container.root, { recursive: true });
    await write(join(folder.path, 'removing', 'model', 'model.onnx'), 'half a model');
    assert.deepEqual(await pruneJobFolders(jobs, { now }), { ended: 1, files: 0, logs: 0 });
    assert.deepEqual(await left(folder), all.slice(0, 4));
  });
});
