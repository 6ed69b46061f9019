import assert from 'node:assert/strict';
import type { Digest } from '../../src/contracts/digest.ts';
import { openFsStore } from '../../src/store/fs/store.ts';
import { lineage } from '../../src/store/lineage.ts';
import { putManifest } from '../../src/store/manifests.ts';
import type { BlobStore } from '../../src/store/types.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { PowerCutFs } from './fs/power-cut-fs.ts';
import { bytes, collect, digestOfDigit, openedManifest, runManifest } from './samples.ts';

describe('lineage', () => {
  let fs: PowerCutFs;
  let store: KeptStore;
  beforeEach(async () => {
    fs = new PowerCutFs();
    store = await openFsStore('/store', { ops: fs });
  });

  it('walks to every ancestor once, nearest first, with a line for people', async () => {
    const root = await putManifest(store, runManifest(digestOfDigit('1')));
    const left = await putManifest(store, openedManifest(1, [root]));
    const right = await putManifest(store, openedManifest(2, [root, left]));
    const top = await putManifest(store, openedManifest(3, [right, left]));
    const walk = await collect(lineage(store, top));
    assert.deepEqual(
      walk.map((node) => [node.digest, node.distance, node.kind]),
      [
        [top, 0, 'CycleOpened'],
        [right, 1, 'CycleOpened'],
        [left, 1, 'CycleOpened'],
        [root, 2, 'Run'],
      ],
    );
    const last = walk.at(-1)!;
    assert.ok('summary' in last);
    assert.equal(last.summary, 'spam/1/train/1, attempt 1');
    assert.deepEqual(last.parents, []);
  });

  it('reports what is missing, damaged or no manifest, and walks on', async () => {
    const missing = digestOfDigit('f');
    const rows = await store.blobs.put(bytes('{"id":1}\n{"id":2}\n'));
    const damaged = await putManifest(store, openedManifest(1));
    fs.flipBit(`/store/blobs/${damaged.slice(7, 9)}/${damaged.slice(7)}`);
    const root = await putManifest(store, runManifest(rows));
    const top = await putManifest(store, openedManifest(2, [missing, damaged, rows, root]));
    const walk = await collect(lineage(store, top));
    assert.deepEqual(
      walk.map((node) => node.kind),
      ['CycleOpened', 'missing', 'corrupt', 'notAManifest', 'Run'],
    );
    const gap = walk[1]!;
    assert.ok('detail' in gap && gap.detail.includes(missing));
    assert.deepEqual(
      (await collect(lineage(store, missing))).map((node) => node.kind),
      ['missing'],
    );
  });

  it('ends on a cycle, which only a broken backend can show', async () => {
    const [a, b] = [digestOfDigit('a'), digestOfDigit('b')];
    const manifests = new Map<Digest, string>([
      [a, JSON.stringify(openedManifest(1, [b, a]))],
      [b, JSON.stringify(openedManifest(2, [a]))],
    ]);
    const blobs: Pick<BlobStore, 'read' | 'sizeBytes'> = {
      read: async (digest) => bytes(manifests.get(digest)!),
      sizeBytes: async (digest) => manifests.get(digest)!.length,
    };
    const walk = await collect(lineage({ blobs: blobs as BlobStore }, a));
    assert.deepEqual(
      walk.map((node) => node.digest),
      [a, b],
    );
  });
});
