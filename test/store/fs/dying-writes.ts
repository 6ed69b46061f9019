import { Readable } from 'node:stream';
import { digestOf } from '../../../src/store/canonical-json.ts';
import type { Store } from '../../../src/store/types.ts';
import { bytes, collect, digestOfDigit, why } from '../samples.ts';

const pieces = ['first ', 'second ', 'third'].map((piece) => bytes(piece.repeat(20_000)));
export const bodyDigest = digestOf(Buffer.concat(pieces));

/** The writes that child processes die in, and the parent repeats and checks. */
export const writes = {
  put: (store: Store) => store.blobs.put(Readable.from(pieces)),
  compareAndSet: async (store: Store) => {
    const first = (await collect(store.refs.history('loops/spam/cycles'))).at(-1);
    return store.refs.compareAndSet('loops/spam/cycles', first, digestOfDigit('2'), why('cycle/2'));
  },
};
