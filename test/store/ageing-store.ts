import type { Digest } from '../../src/contracts/digest.ts';
import type { FsOps } from '../../src/store/fs/fs-ops.ts';
import { openFsStore } from '../../src/store/fs/store.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { PowerCutFs } from './fs/power-cut-fs.ts';
import { bytes, collect, why } from './samples.ts';

export const dayMs = 86_400_000;

/** A store whose clock the test turns. */
export class AgeingStore {
  readonly fs = new PowerCutFs();
  nowMs = Date.parse('2026-01-01T00:00:00Z');

  constructor() {
    this.fs.nowMs = () => this.nowMs;
  }

  open(ops: FsOps = this.fs): Promise<KeptStore> {
    return openFsStore('/store', { ops, now: () => this.now });
  }

  get now(): Date {
    return new Date(this.nowMs);
  }

  pass(days: number): void {
    this.nowMs += days * dayMs;
  }
}

export const digestsOf = async (store: KeptStore): Promise<Digest[]> =>
  (await collect(store.upkeep.blobs())).map((blob) => blob.digest).sort();

export const put = (store: KeptStore, text: string): Promise<Digest> => store.blobs.put(bytes(text));

/** Moves a ref, whatever it pointed to before. */
export async function point(store: KeptStore, name: string, digest: Digest, operation: string): Promise<void> {
  await store.refs.compareAndSet(name, await store.refs.read(name), digest, why(operation));
}
