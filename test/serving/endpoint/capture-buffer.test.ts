import assert from 'node:assert/strict';
import { pino } from 'pino';
import type { CaptureRecord } from '../../../src/contracts/endpoint.ts';
import { CaptureBuffer } from '../../../src/serving/endpoint/capture-buffer.ts';
import { until } from '../waiting.ts';

const log = pino({ level: 'silent' });
const options = { flushEveryMs: 5, flushAtRecords: 10, maxBuffered: 30 };
const record = (inferenceId: string): CaptureRecord => ({
  inferenceId,
  timeMs: 0,
  generation: 1,
  variant: 'stable',
  model: `sha256:${'a'.repeat(64)}`,
  shadow: false,
  background: false,
  answer: { label: 'ham', score: 0 },
  latencyMs: 1,
});

describe('capture buffer', () => {
  const written: string[] = [];
  const sizes: number[] = [];
  let broken: boolean;
  const append = async (records: readonly CaptureRecord[]): Promise<void> => {
    if (broken) throw new Error('the disk is full');
    sizes.push(records.length);
    written.push(...records.map(({ inferenceId }) => inferenceId));
  };
  const add = (buffer: CaptureBuffer, count: number): string[] => {
    const ids = Array.from({ length: count }, (_, index) => String(index));
    for (const id of ids) buffer.add(record(id));
    return ids;
  };
  beforeEach(() => {
    written.length = 0;
    sizes.length = 0;
    broken = false;
  });

  it('writes in order, in appends of a bounded size, without being asked', async () => {
    const buffer = new CaptureBuffer(options, append, log);
    const ids = add(buffer, 25);
    await until('all are written', () => written.length === 25);
    assert.deepEqual(written, ids);
    assert.ok(Math.max(...sizes) <= 10);
  });

  it('keeps what cannot be written, in order, and drops only beyond its bound', async () => {
    const buffer = new CaptureBuffer(options, append, log);
    broken = true;
    const ids = add(buffer, 40);
    await until('it has tried twice', () => buffer.counts.failedAppends >= 2);
    assert.deepEqual([buffer.pending, buffer.counts.dropped], [30, 10]);
    broken = false;
    await until('all are written', () => written.length === 30);
    assert.deepEqual(written, ids.slice(0, 30));
    assert.equal(buffer.pending, 0);
  });

  it('writes the rest at close, and counts what it cannot write', async () => {
    const good = new CaptureBuffer({ ...options, flushEveryMs: 60_000 }, append, log);
    add(good, 9);
    await good.close(1_000);
    assert.equal(written.length, 9);
    broken = true;
    const bad = new CaptureBuffer({ ...options, flushEveryMs: 60_000 }, append, log);
    add(bad, 9);
    await bad.close(1_000);
    assert.deepEqual(bad.counts, { written: 0, dropped: 9, failedAppends: 1 });
    const hung = new CaptureBuffer({ ...options, flushEveryMs: 60_000 }, () => new Promise(() => {}), log);
    add(hung, 9);
    await hung.close(20);
    assert.equal(hung.counts.dropped, 9);
  });
});
