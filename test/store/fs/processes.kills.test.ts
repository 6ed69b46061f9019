import assert from 'node:assert/strict';
import { NotFound } from '../../../src/store/errors.ts';
import { nodeFs } from '../../../src/store/fs/fs-ops.ts';
import { openFsStore } from '../../../src/store/fs/store.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Ref, Store } from '../../../src/store/types.ts';
import { verifyStore } from '../../../src/store/verify.ts';
import { collect, digestOfDigit, temporaryFolder, why } from '../samples.ts';
import { runChild } from './child.ts';
import { dyingFs, isChanging } from './dying-fs.ts';
import { bodyDigest, writes } from './dying-writes.ts';

/** A store with one cycle opened, in a folder of its own. */
async function preparedStore() {
  const folder = await temporaryFolder();
  const store = await openStore(folder.path);
  await store.refs.compareAndSet('loops/spam/cycles', undefined, digestOfDigit('1'), why('cycle/1'));
  return { folder, store };
}

async function callsOf(write: keyof typeof writes): Promise<number> {
  const { folder } = await preparedStore();
  const counted = dyingFs(nodeFs, () => Promise.reject(new Error('never')), isChanging);
  const store = await openFsStore(folder.path, { ops: counted.ops });
  const before = counted.calls();
  await writes[write](store);
  await folder.remove();
  return counted.calls() - before;
}

const checks: Record<keyof typeof writes, (store: Store) => Promise<void>> = {
  put: async (store) => {
    const found = await store.blobs.read(bodyDigest).catch((error: unknown) => error);
    // `read` verifies: bytes that it returns are all of them.
    assert.ok(found instanceof NotFound || found instanceof Uint8Array, String(found));
  },
  compareAndSet: async (store) => {
    const log = (await collect(store.refs.history('loops/spam/cycles'))).map((ref) => ref.operation);
    assert.deepEqual(log.toReversed(), log.length === 2 ? ['cycle/1', 'cycle/2'] : ['cycle/1']);
  },
};

describe('fs store between processes', function () {
  this.timeout(60_000);

  it('gives every entry one winner among 32 writers in 4 processes', async () => {
    const folder = await temporaryFolder();
    const entries = 200;
    const children = await Promise.all(
      ['a', 'b', 'c', 'd'].map((me) => runChild('racing-child.ts', [folder.path, me, '8', String(entries), '4'])),
    );
    for (const child of children) assert.equal(child.exitCode, 0, child.stderr);
    const won = children.map((child) => JSON.parse(child.stdout) as Ref[]);
    assert.ok(won.filter((refs) => refs.length > 0).length >= 2, 'only one process ever won: they did not race');
    const store = await openStore(folder.path);
    const log = (await collect(store.refs.history('race/ref'))).toReversed();
    // Every acknowledged write is in the log, every entry was acknowledged to exactly one writer.
    assert.deepEqual(
      won.flat().sort((a, b) => a.entry - b.entry),
      log,
    );
    assert.ok(log.length >= entries);
    assert.deepEqual(await collect(store.upkeep.checkLog('race/ref')), []);
    await folder.remove();
  });

  for (const write of ['put', 'compareAndSet'] as const)
    it(`survives kill -9 at every changing call of ${write}`, async () => {
      const calls = await callsOf(write);
      assert.ok(calls >= 5, `${calls} calls`);
      const dieAndCheck = async (call: number): Promise<void> => {
        const { folder, store } = await preparedStore();
        const child = await runChild('dying-child.ts', [folder.path, write, String(call)]);
        assert.equal(child.signal, call <= calls ? 'SIGKILL' : null, `call ${call}: ${child.stderr}`);
        await checks[write](store);
        await writes[write](store);
        assert.equal(await store.blobs.has(bodyDigest), write === 'put');
        const { problems } = await verifyStore(store);
        // The digests of these refs are made up; nothing else may be wrong.
        assert.deepEqual(
          problems.filter((problem) => problem.what !== 'missingBlob'),
          [],
        );
        await folder.remove();
      };
      // Two at a time: each is a process that starts, dies and is inspected.
      for (let call = 1; call <= calls + 1; call += 2) await Promise.all([dieAndCheck(call), dieAndCheck(call + 1)]);
    });
});
