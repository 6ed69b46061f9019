import assert from 'node:assert/strict';
import { canonicalBytes } from '../../src/store/canonical-json.ts';
import { openFsStore } from '../../src/store/fs/store.ts';
import { putManifest } from '../../src/store/manifests.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { PowerCutFs } from './fs/power-cut-fs.ts';
import { bytes, digestOfDigit, openedManifest, runManifest, why } from './samples.ts';

describe('verify', () => {
  let fs: PowerCutFs;
  let store: KeptStore;
  const clock = { now: new Date('2026-01-01T00:00:00Z') };
  beforeEach(async () => {
    fs = new PowerCutFs();
    clock.now = new Date('2026-01-01T00:00:00Z');
    store = await openFsStore('/store', { ops: fs, now: () => clock.now });
  });
  const damage = (digest: string): void => fs.flipBit(`/store/blobs/${digest.slice(7, 9)}/${digest.slice(7)}`);

  it('finds nothing wrong with a good store, and counts it', async () => {
    const rows = await store.blobs.put(bytes('{"kind":"Model","parents":[]}\n{"id":2}\n'));
    const run = await putManifest(store, runManifest(rows));
    const opened = await putManifest(store, openedManifest(1, [run]));
    const one = await store.refs.compareAndSet('loops/spam/cycles', undefined, opened, why('cycle/1'));
    await store.refs.compareAndSet('loops/spam/cycles', one, opened, why('cycle/2'));
    await store.refs.compareAndSet('loops/spam/dataset', undefined, run, why('dataset/1'));
    const progress: number[] = [];
    const report = await verifyStore(store, { now: clock.now, onProgress: ({ blobs }) => progress.push(blobs) });
    assert.deepEqual(report.problems, []);
    assert.deepEqual([report.blobs, report.refs], [3, 2]);
    assert.ok(report.bytes > 300, `${report.bytes} bytes`);
    assert.deepEqual(progress, [1, 2, 3]);
  });

  it('finds every kind of damage in one walk', async () => {
    const gone = digestOfDigit('e');
    const rows = await store.blobs.put(bytes('rows'));
    const orphan = await putManifest(store, openedManifest(1, [digestOfDigit('f')]));
    const run = await putManifest(store, runManifest(gone));
    const invalid = await store.blobs.put(canonicalBytes({ ...openedManifest(2), cycle: 0 }));
    damage(rows);
    const one = await store.refs.compareAndSet('a/log', undefined, run, why('one'));
    await store.refs.compareAndSet('a/log', one, run, why('two'));
    await store.refs.compareAndSet('b/log', undefined, gone, why('one'));
    fs.flipBit('/store/refs/a/log/@log/000000/000000001');
    const { problems } = await verifyStore(store, { now: clock.now });
    assert.deepEqual(
      problems.map(({ what, where }) => `${what} ${where}`).sort(),
      [
        `corruptBlob ${rows}`,
        `missingParent ${orphan}`,
        `missingBlob ${run}`,
        `badManifest ${invalid}`,
        'brokenLog a/log entry 1',
        'missingBlob b/log entry 1',
      ].sort(),
    );
    for (const problem of problems) assert.ok(problem.detail.length > 10);
  });

  it('misses no blob that collection may have taken', async () => {
    const old = await store.refs.compareAndSet('a/log', undefined, digestOfDigit('1'), why('one'));
    clock.now = new Date('2026-02-01T00:00:00Z');
    const blob = await store.blobs.put(bytes('new'));
    await store.refs.compareAndSet('a/log', old, blob, why('two'));
    clock.now = new Date('2026-06-01T00:00:00Z');
    assert.deepEqual((await verifyStore(store, { now: clock.now })).problems, []);
    const all = await verifyStore(store, { now: clock.now, retentionMs: 365 * 86_400_000 });
    assert.deepEqual(
      all.problems.map(({ where }) => where),
      ['a/log entry 1'],
    );
  });

  it('does not look for the bytes of a program in the store', async () => {
    const jobSpec = await store.blobs.put(bytes('{}'));
    await putManifest(store, { ...runManifest(jobSpec), programDigest: digestOfDigit('7') });
    assert.deepEqual((await verifyStore(store)).problems, []);
  });
});
