import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Store } from '../../src/store/types.ts';
import { blobsConform } from './conformance-blobs.ts';
import { capturesConform } from './conformance-captures.ts';
import { refsConform } from './conformance-refs.ts';
import { commands, followsReference } from './reference-model.ts';
import { bytes, why } from './samples.ts';

export interface OpenedStore {
  store: Store;
  /** The same data through a second client, as another process sees it. */
  again: () => Promise<Store>;
  close: () => Promise<void>;
}

/** How much of it; a server over a network is asked less often than a disk. */
const thorough = { sequences: 60, entries: 1_003 };

/** What every backend must do; `open` gives an empty store. */
export function describeStore(
  name: string,
  open: () => Promise<OpenedStore>,
  { sequences, entries }: typeof thorough = thorough,
): void {
  describe(`${name} conforms`, () => {
    let opened: OpenedStore;
    let store: Store;
    before(async () => {
      opened = await open();
      store = opened.store;
    });
    after(() => opened.close());

    describe('blobs', () => blobsConform(() => store));
    describe('refs', () => refsConform(() => store, entries));
    describe('captures', () =>
      capturesConform(
        () => store,
        () => opened.again(),
      ));

    it('answers every sequence of calls as the reference model does', async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(commands, (sequence) => {
          run += 1;
          return followsReference(store, `model-${run}`, sequence);
        }),
        { numRuns: sequences, seed: 20020801 },
      );
    });

    it('shows its data to a second client', async () => {
      const digest = await store.blobs.put(bytes('shared'));
      const ref = await store.refs.compareAndSet('shared/ref', undefined, digest, why('share'));
      const other = await opened.again();
      assert.deepEqual(Buffer.from(await other.blobs.read(digest)).toString(), 'shared');
      assert.deepEqual(await other.refs.read('shared/ref'), ref);
      assert.equal(other.url, store.url);
    });
  });
}
