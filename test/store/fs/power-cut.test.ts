import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { Digest } from '../../../src/contracts/digest.ts';
import { digestOf } from '../../../src/store/canonical-json.ts';
import { CorruptBlob, NotFound } from '../../../src/store/errors.ts';
import { openFsStore } from '../../../src/store/fs/store.ts';
import type { Store } from '../../../src/store/types.ts';
import { bytes, capture, collect, digestOfDigit, why } from '../samples.ts';
import { dyingFs } from './dying-fs.ts';
import { PowerCutFs } from './power-cut-fs.ts';

const root = '/store';
const body = bytes('the bytes of a model, in three pieces');
const pieces = [body.subarray(0, 10), body.subarray(10, 20), body.subarray(20)];
const digest = digestOf(body);
const blobPath = `${root}/blobs/${digest.slice(7, 9)}/${digest.slice(7)}`;
const [first, second] = [digestOfDigit('1'), digestOfDigit('2')] as [Digest, Digest];

interface Scenario {
  name: string;
  /** Acknowledged before the crash. */
  prepare: (store: Store, fs: PowerCutFs) => Promise<void>;
  act: (store: Store) => Promise<void>;
  /** After a crash anywhere in `act`: the old state or the new one. `acknowledged`: it must be the new one. */
  check: (store: Store, acknowledged: boolean) => Promise<void>;
}

async function blobIsWholeOrAbsent(store: Store, mustBeThere: boolean): Promise<void> {
  const found = await store.blobs.read(digest).catch((error: unknown) => error);
  if (found instanceof NotFound) assert.equal(mustBeThere, false, 'an acknowledged blob is lost');
  else assert.deepEqual(Buffer.from(found as Uint8Array), Buffer.from(body));
}

const scenarios: Scenario[] = [
  {
    name: 'put of a new blob',
    prepare: async () => {},
    act: async (store) => void (await store.blobs.put(Readable.from(pieces))),
    check: blobIsWholeOrAbsent,
  },
  {
    name: 'put of bytes that exist',
    prepare: async (store) => void (await store.blobs.put(body)),
    act: async (store) => void (await store.blobs.put(body)),
    check: (store) => blobIsWholeOrAbsent(store, true),
  },
  {
    name: 'put over a damaged blob',
    prepare: async (store, fs) => {
      await store.blobs.put(body);
      fs.flipBit(blobPath);
    },
    act: async (store) => void (await store.blobs.put(body)),
    check: async (store, acknowledged) => {
      const found = await store.blobs.read(digest).catch((error: unknown) => error);
      if (found instanceof CorruptBlob) assert.equal(acknowledged, false, 'an acknowledged repair is lost');
      else assert.deepEqual(Buffer.from(found as Uint8Array), Buffer.from(body));
    },
  },
  {
    name: 'first entry of a ref',
    prepare: async () => {},
    act: async (store) => void (await store.refs.compareAndSet('a/b', undefined, first, why('one'))),
    check: async (store, acknowledged) => {
      const log = (await collect(store.refs.history('a/b'))).map((ref) => ref.operation);
      if (acknowledged || log.length > 0) assert.deepEqual(log, ['one']);
      assert.deepEqual(await collect(store.refs.list('a/')), log.length > 0 ? ['a/b'] : []);
    },
  },
  {
    name: 'second entry of a ref',
    prepare: async (store) => void (await store.refs.compareAndSet('a/b', undefined, first, why('one'))),
    act: async (store) => {
      const expected = (await collect(store.refs.history('a/b'))).at(-1);
      await store.refs.compareAndSet('a/b', expected, second, why('two'));
    },
    check: async (store, acknowledged) => {
      const log = (await collect(store.refs.history('a/b'))).map((ref) => ref.operation);
      assert.deepEqual(log, acknowledged || log.length > 1 ? ['two', 'one'] : ['one']);
    },
  },
  {
    name: 'append to the captures',
    prepare: async (store) => store.captures.append('mail', 'r1', [capture('1')]),
    act: (store) => store.captures.append('mail', 'r1', [capture('2'), capture('3')]),
    check: async (store, acknowledged) => {
      const ids = (await store.captures.read('mail')).records.map((record) => record.inferenceId);
      // A retry after a crash may append the records twice; readers join by inference id.
      assert.deepEqual(ids.slice(0, 3), acknowledged || ids.length > 1 ? ['1', '2', '3'] : ['1']);
    },
  },
];

/** What of the unsynced reaches the disk: nothing, everything, or a seeded mixture. */
const outcomes: { name: string; keeps: () => () => boolean }[] = [
  { name: 'nothing unsynced survives', keeps: () => () => false },
  { name: 'everything survives', keeps: () => () => true },
  ...[1, 2, 3].map((seed) => ({ name: `a mixture survives (seed ${seed})`, keeps: () => mixture(seed) })),
];

function mixture(seed: number): () => boolean {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state > 2 ** 30;
  };
}

/**
 * Dies at call number `call` of `act`, restarts and checks. Without `keeps` only the process dies, and the power goes
 * after the retry: what the dead process made and did not sync must be durable then. Returns whether it died.
 */
async function crashAt(
  scenario: Scenario,
  call: number,
  durability: 'fsync' | 'fast',
  keeps?: () => boolean,
): Promise<boolean> {
  const fs = new PowerCutFs();
  await scenario.prepare(await openFsStore(root, { ops: fs }), fs);
  const dying = dyingFs(fs, () => Promise.reject(new Error('dead')));
  const store = await openFsStore(root, { ops: dying.ops, durability });
  dying.dieAt(call);
  const acknowledged = await scenario.act(store).then(
    () => true,
    (error: Error) => {
      assert.equal(error.message, 'dead');
      return false;
    },
  );
  if (keeps) fs.powerCut(keeps);
  await scenario.check(await openFsStore(root, { ops: fs }), acknowledged);
  // The retry of a caller that got no answer ends in the same state, with nothing doubled.
  const restarted = await openFsStore(root, { ops: fs });
  if (!acknowledged) await scenario.act(restarted);
  await scenario.check(restarted, true);
  fs.powerCut(() => false);
  const again = await openFsStore(root, { ops: fs });
  await scenario.check(again, true);
  await again.upkeep.removeLeftovers(new Date(Date.now() + 1_000));
  assert.deepEqual(
    fs.paths().filter((path) => path.startsWith(`${root}/incoming/`)),
    [],
  );
  return dying.calls() >= call && !acknowledged;
}

describe('a power cut at every file-system call', () => {
  for (const scenario of scenarios)
    for (const outcome of outcomes)
      it(`${scenario.name}: old state or new, when ${outcome.name}`, async () => {
        let deaths = 0;
        // The last round is the one that dies no more: acknowledged, then the power cut.
        for (let call = 1; await crashAt(scenario, call, 'fsync', outcome.keeps()); call += 1) deaths += 1;
        assert.ok(deaths >= 3, `only ${deaths} crash points`);
      });

  for (const scenario of scenarios)
    it(`${scenario.name}: kill -9 first, power cut after the retry`, async () => {
      let deaths = 0;
      for (let call = 1; await crashAt(scenario, call, 'fsync'); call += 1) deaths += 1;
      assert.ok(deaths >= 3, `only ${deaths} crash points`);
    });

  it('would lose acknowledged writes without fsync: these tests can fail', async () => {
    for (const scenario of scenarios.filter(({ name }) => name !== 'put of bytes that exist'))
      await assert.rejects(
        crashAt(scenario, 10_000, 'fast', () => false),
        assert.AssertionError,
        scenario.name,
      );
  });
});
