import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GpuLeases, type LeaseHolder } from '../../src/jobs/local/gpu-leases.ts';

describe('GPU leases', () => {
  let folder: string;
  const dead = new Set<string>();
  const devices = ['0', '1', '2', '3'];
  const worker = () => new GpuLeases({ folder, devices }, async (holder) => !dead.has(holder.marker));
  const holder = (marker: string): LeaseHolder => ({
    host: 'h',
    bootId: 'b',
    pidNamespace: 'n',
    pid: 1,
    startTicks: 1,
    job: `job/${marker}`,
    jobFolder: '/nowhere',
    marker,
    at: '',
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-gpus-'));
    dead.clear();
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are given k at a time or not at all', async () => {
    assert.deepEqual(await worker().tryAcquire(3, holder('a')), ['0', '1', '2']);
    assert.equal(await worker().tryAcquire(2, holder('b')), undefined);
    dead.add('a');
    assert.deepEqual(await worker().tryAcquire(2, holder('b')), ['0', '1']);
  });

  it('of a live job are found again by a worker that comes back', async () => {
    assert.deepEqual(await worker().tryAcquire(2, holder('a')), ['0', '1']);
    assert.deepEqual(await worker().tryAcquire(2, holder('a')), ['0', '1']);
    assert.deepEqual(await worker().tryAcquire(2, holder('b')), ['2', '3']);
  });

  it('come in order: a job that needs all is not overtaken by small ones', async () => {
    await worker().tryAcquire(1, holder('a'));
    assert.equal(await worker().tryAcquire(4, holder('all')), undefined);
    await new Promise((resolve) => setTimeout(resolve, 2));
    assert.equal(await worker().tryAcquire(1, holder('small')), undefined);
    dead.add('a');
    assert.deepEqual(await worker().tryAcquire(4, holder('all')), devices);
    dead.add('all');
    assert.deepEqual(await worker().tryAcquire(1, holder('small')), ['0']);
  });

  it('a job that leaves the queue or dies in it holds nobody up', async () => {
    await worker().tryAcquire(4, holder('a'));
    for (const marker of ['leaves', 'dies', 'stays']) {
      assert.equal(await worker().tryAcquire(4, holder(marker)), undefined);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await worker().withdraw(holder('leaves'));
    dead.add('a').add('dies');
    assert.deepEqual(await worker().tryAcquire(4, holder('stays')), devices);
    assert.deepEqual(await readdir(join(folder, 'waiting')), []);
  });

  it('never overlap, whatever 24 processes do at once over many generations', async () => {
    const heldBy = new Map<string, string>();
    let grants = 0;
    const live = async (marker: string, count: number): Promise<void> => {
      const leases = worker();
      for (let round = 0; round < 3; round++) {
        const mine = holder(`${marker}-${round}`);
        let granted = await leases.tryAcquire(count, mine);
        while (!granted) {
          await new Promise((resolve) => setImmediate(resolve));
          granted = await leases.tryAcquire(count, mine);
        }
        grants++;
        assert.equal(new Set(granted).size, count);
        for (const device of granted) {
          assert.equal(heldBy.get(device), undefined, `device ${device} has two holders`);
          heldBy.set(device, mine.marker);
        }
        await new Promise((resolve) => setImmediate(resolve));
        for (const device of granted) heldBy.delete(device);
        dead.add(mine.marker);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => live(`job${i}`, 1 + (i % 4))));
    assert.equal(grants, 24);
  });
});
