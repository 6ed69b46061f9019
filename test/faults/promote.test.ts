import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { Digest } from '../../src/contracts/digest.ts';
import type { LoopFile } from '../../src/contracts/loop-spec.ts';
import { refNames } from '../../src/contracts/names.ts';
import { decidePromotion } from '../../src/models/approve.ts';
import { type PromoteOptions, promote } from '../../src/models/promote.ts';
import { promotions } from '../../src/models/promotion-log.ts';
import { lineage } from '../../src/store/lineage.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { signingKey, trustedKey } from '../../src/store/signing/keys.ts';
import { recordSignature, verifyStored } from '../../src/store/signing/registry.ts';
import type { Store } from '../../src/store/types.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { loop, model, Registry, rowsOf } from '../models/registry.ts';
import { collect } from '../store/samples.ts';

/** Ops on refs and blobs of a store, each of which a test may make the last. */
function killable(
  store: Store,
  dies: (n: number) => 'before' | 'after' | undefined,
): { store: Store; writes: () => number } {
  let n = 0;
  const wrap = <T extends object>(part: T, names: readonly string[]): T =>
    new Proxy(part, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (!names.includes(String(name))) return value.bind(target);
        return async (...args: unknown[]) => {
          n += 1;
          const when = dies(n);
          if (when === 'before') throw new Error('killed');
          const result = await value.apply(target, args);
          if (when === 'after') throw new Error('killed');
          return result;
        };
      },
    });
  const wrapped = { ...store, refs: wrap(store.refs, ['append', 'compareAndSet']), blobs: wrap(store.blobs, ['put']) };
  return { store: wrapped, writes: () => n };
}

describe('models promote', function () {
  this.timeout(120_000);
  let [staging, prod] = [] as unknown as [Registry, Registry];
  let good: Digest;

  const open = async (changes: Partial<LoopFile> = {}): Promise<void> => {
    staging = await Registry.open('staging');
    prod = await Registry.open('prod');
    await staging.deliver(rowsOf('2002-07-10', 80));
    good = await staging.approve(await staging.train(0));
    await prod.deliver(rowsOf('2002-08-10', 200));
    await prod.apply(changes);
  };
  const options = async (changes: Partial<PromoteOptions> = {}): Promise<PromoteOptions> => ({
    ...{ source: staging.store, target: prod.store, model, version: 1, digest: good, from: 'staging' },
    loop: { loop, specDigest: (await prod.store.refs.read(refNames.loopSpec(loop)))!.digest, dataset: prod.dataset! },
    ...{ by: 'ann', reason: 'it is good', signal: new AbortController().signal },
    ...changes,
  });
  afterEach(async () => {
    await staging.close();
    await prod.close();
  });
  const versionsOf = async ({ store }: Registry) => await collect(store.refs.history(refNames.versions(model)));

  it('copies lineage, judges by the gate there, and ends as an approved version; asked again it is the same one', async () => {
    await open();
    const done = await promote(await options());
    assert.equal(done.state, 'approved', done.reasons.join('; '));
    const [version, ...more] = await versionsOf(prod);
    assert.deepEqual([version!.digest, version!.by, more.length], [good, 'gate', 0]);
    assert.match(version!.reason, /staging@1/);
    assert.equal((await prod.store.refs.read(refNames.champion(model)))!.digest, good);
    const walk = async ({ store }: Registry) =>
      (await collect(lineage(store, good))).map(({ digest, kind }) => [digest, kind]);
    assert.deepEqual(await walk(prod), await walk(staging));
    assert.deepEqual((await verifyStore(prod.store)).problems, []);
    // It rests on the rows that prod holds out, not on those of staging.
    const verdict = await getManifest(prod.store, done.verdict!, 'Verdict');
    const evaluation = await getManifest(prod.store, verdict.evaluations[0]!, 'Evaluation');
    assert.equal(evaluation.dataset, prod.dataset!.digest);
    assert.equal(evaluation.rowCount, prod.dataset!.manifest.segments[0]!.holdoutRows);

    await prod.deliver(rowsOf('2002-09-10', 40));
    const again = await promote(await options());
    assert.deepEqual([again.key, again.state, (await versionsOf(prod)).length], [done.key, 'approved', 1]);
  });

  it('a gate that fails leaves no version, and nothing of what serves is touched', async () => {
    await open({ gate: { metrics: [{ metric: 'accuracy', floor: 0.9, margin: '1pt' }] } });
    const champion = await prod.approve(await prod.train(0, { cycle: 9 }));
    await prod.point(refNames.champion(model), champion);
    const poor = await staging.approve(await staging.train(0.8, { cycle: 2 }));
    const done = await promote(await options({ digest: poor, version: 2 }));
    assert.equal(done.state, 'failed');
    assert.match(done.reasons[0]!, /accuracy/);
    assert.equal((await versionsOf(prod)).length, 1);
    assert.equal((await prod.store.refs.read(refNames.champion(model)))!.digest, champion);
    assert.equal((await promote(await options({ digest: poor, version: 2 }))).key, done.key);
  });

  it('waits for an approver of the target: not for anybody, not for the author, not after the deadline', async () => {
    await open({ approval: { by: ['bob', 'ann', 'eve'], notBy: 'author', within: '1h' } });
    const waiting = await promote(await options());
    assert.deepEqual([waiting.state, (await versionsOf(prod)).length], ['waiting', 0]);
    const say = (by: string, approved = true, now?: Date) =>
      decidePromotion(prod.store, model, waiting.key, { approved, by, reason: 'looked at it' }, now);
    await assert.rejects(say('mallory'), /not one of the approvers: bob, ann, eve/);
    await assert.rejects(say('ann'), /author of the spec/);
    // Data have come since: it is still the one that waits.
    await prod.deliver(rowsOf('2002-09-10', 40));
    assert.equal((await promote(await options())).key, waiting.key);
    const approved = await say('bob');
    assert.deepEqual([approved.state, approved.by], ['approved', 'bob']);
    assert.equal((await say('bob')).state, 'approved');
    await assert.rejects(say('eve', false), /is approved and waits for nobody/);
    assert.equal((await versionsOf(prod)).length, 1);
    assert.equal((await prod.store.refs.read(refNames.anchor(model)))!.digest, good);
  });

  it('after the deadline nobody can approve, and a champion that moved since asks for a new judgement', async () => {
    await open({ approval: { by: ['bob'], within: '1h' } });
    const { key } = await promote(await options());
    const word = { approved: true, by: 'bob', reason: 'late' };
    await prod.point(refNames.champion(model), await prod.train(0.01, { cycle: 7 }));
    await assert.rejects(
      decidePromotion(prod.store, model, key, word),
      /champion of prices moved since staging@1 was judged/,
    );
    const again = await promote(await options());
    assert.notEqual(again.key, key);
    const late = new Date(Date.now() + 3 * 3_600_000);
    await assert.rejects(decidePromotion(prod.store, model, again.key, word, late), /the deadline was/);
    assert.equal((await versionsOf(prod)).length, 0);
    assert.equal((await promotions(prod.store, model)).find((p) => p.key === again.key)!.state, 'rejected');
  });

  it('a signature goes along, and a target that wants one takes nothing without it', async () => {
    await open();
    const pair = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const key = signingKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), 'test key');
    const trusted = [trustedKey(pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(), 'test key')];
    const signing = { required: true, trusted };
    await assert.rejects(promote(await options({ signing })), /it is not signed/);
    assert.equal(await prod.store.blobs.has(good), false);
    await recordSignature(staging.store, good, await getManifest(staging.store, good, 'Model'), key);
    assert.equal((await promote(await options({ signing }))).state, 'approved');
    assert.ok(await verifyStored(prod.store, good, await getManifest(prod.store, good, 'Model'), trusted));
  });

  it('does not judge it on rows that it was trained on elsewhere', async () => {
    staging = await Registry.open('staging');
    prod = await Registry.open('prod');
    const rows = rowsOf('2002-07-10', 200);
    // Staging holds out a fifth, so some of what prod holds out was training data there.
    await staging.deliver(rows, 0.2);
    good = await staging.approve(await staging.train(0));
    await prod.deliver(rows);
    await prod.apply();
    const { verdict } = await promote(await options());
    const { evaluations } = await getManifest(prod.store, verdict!, 'Verdict');
    const { rowCount } = await getManifest(prod.store, evaluations[0]!, 'Evaluation');
    const heldOut = prod.dataset!.manifest.segments[0]!.holdoutRows;
    assert.ok(rowCount > 0 && rowCount < 0.7 * heldOut, `${rowCount} of ${heldOut}`);
  });

  it('a version whose files were pruned cannot go anywhere', async () => {
    await open();
    const [file] = (await getManifest(staging.store, good, 'Model')).files;
    await staging.store.upkeep.deleteIfOlder(file!.digest, new Date(Date.now() + 1_000));
    await assert.rejects(
      promote(await options()),
      new RegExp(`prices@1 in staging: its ${file!.path} is not in the store`),
    );
  });

  it('killed before or after any write, it goes on: one version, one champion, a sound store', async () => {
    await open();
    const { store: counted, writes } = killable(prod.store, () => undefined);
    let deaths = 0;
    // Each call gets one write further than the last one, dying before it and after it in turns.
    for (let call = 0; ; call += 1) {
      const attempt = killable(prod.store, (n) =>
        n === (call >> 1) + 1 ? (call % 2 === 0 ? 'before' : 'after') : undefined,
      );
      try {
        await promote(await options({ target: attempt.store }));
        break;
      } catch (error) {
        assert.match((error as Error).message, /killed/);
        deaths += 1;
        for (const { digest } of await versionsOf(prod)) assert.equal(await prod.store.blobs.has(digest), true);
        assert.deepEqual((await verifyStore(prod.store)).problems, [], `after death ${deaths}`);
      }
      assert.ok(call < 200, 'it never ends');
    }
    assert.ok(deaths > 10, `only ${deaths} deaths`);
    assert.equal((await promote(await options({ target: counted }))).state, 'approved');
    assert.ok(writes() > 0);
    assert.deepEqual(
      [(await versionsOf(prod)).length, (await collect(prod.store.refs.history(refNames.champion(model)))).length],
      [1, 1],
    );
    assert.equal((await promotions(prod.store, model)).length, 1);
  });
});
