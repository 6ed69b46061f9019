import assert from 'node:assert/strict';
import type { Digest } from '../../src/contracts/digest.ts';
import { DesiredState } from '../../src/contracts/endpoint.ts';
import { refNames } from '../../src/contracts/names.ts';
import { planPruning, prune } from '../../src/models/prune.ts';
import { allPrunedFiles } from '../../src/models/pruned.ts';
import { retention } from '../../src/models/retention.ts';
import { lineage } from '../../src/store/lineage.ts';
import { getManifest, putJson, putManifest } from '../../src/store/manifests.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { collect } from '../store/samples.ts';
import { loop, model, Registry, rowsOf } from './registry.ts';

const nothing = { newest: 0, youngerThanMs: 0, monthly: false };
const word = { by: 'ann', reason: 'room' };

describe('models prune', function () {
  this.timeout(60_000);
  let registry: Registry;
  const versions: Digest[] = [];
  const fileOf = async (digest: Digest): Promise<Digest> =>
    (await getManifest(registry.store, digest, 'Model')).files.find(({ path }) => path === 'model.onnx')!.digest;
  const isThere = async (digest: Digest): Promise<boolean> => await registry.store.blobs.has(await fileOf(digest));

  beforeEach(async () => {
    registry = await Registry.open();
    versions.length = 0;
    await registry.deliver(rowsOf('2002-07-10', 40));
    for (let n = 1; n <= 6; n += 1)
      versions.push(
        await registry.approve(
          await registry.train(n / 10, { cycle: n, ...(n > 1 && { warmStart: versions[n - 2]! }) }),
        ),
      );
  });
  afterEach(() => registry.close());

  const desire = async (...models: Digest[]): Promise<void> => {
    const variants = models.map((digest, i) => ({
      name: `v${i}`,
      model: digest,
      weight: i === 0 ? 100 : 0,
      shadow: false,
    }));
    const state = { schema: 'goto3/desired/v1' as const, endpoint: 'mail', generation: 1, variants, frozen: null };
    await registry.point(refNames.desired('mail'), await putJson(registry.store, DesiredState, state));
  };

  it('keeps champion, anchor, what is served, rollback targets, deployments, and open cycles, whatever is asked', async () => {
    const [one, two, three, four, five, six] = versions as [Digest, Digest, Digest, Digest, Digest, Digest];
    await registry.point(refNames.champion(model), one);
    await registry.point(refNames.anchor(model), two);
    await desire(three, four);
    const deployment = await putManifest(registry.store, {
      ...{ kind: 'Deployment', parents: [five], createdAt: new Date().toISOString(), endpoint: 'mail', model: five },
      ...{ outcome: 'rolledBack', reason: 'slow', steps: [] },
    } as const);
    await registry.point(refNames.deployments('mail'), deployment);
    const opened = {
      kind: 'CycleOpened' as const,
      parents: [],
      createdAt: new Date().toISOString(),
      loop,
      cycle: 1,
      reason: '',
    };
    await registry.point(refNames.cycles(loop), await putManifest(registry.store, opened));
    await registry.point(refNames.pin(loop, 1), six);

    const { models, files } = await planPruning(registry.store, model, nothing);
    assert.deepEqual(
      models.map(({ version, keptBecause }) => [version, ...keptBecause]),
      [
        [1, 'champion'],
        [2, 'anchor'],
        [3, 'mail serves it or can go back to it'],
        [4, 'mail serves it or can go back to it'],
        [5, 'a deployment at mail'],
        [6, `a cycle of ${loop} that is open`],
      ],
    );
    assert.deepEqual(files, []);
  });

  it('deletes the files of the others, says how many bytes, and drops no lineage: the store is still sound', async () => {
    await registry.point(refNames.champion(model), versions[5]!);
    const before = await collect(lineage(registry.store, versions[0]!));
    const planned = await planPruning(registry.store, model, { ...nothing, newest: 2 });
    assert.equal(await isThere(versions[0]!), true, 'a plan deletes nothing');
    const { deletedFiles, deletedBytes } = await prune(registry.store, model, { ...nothing, newest: 2 }, word);
    assert.equal(deletedFiles, 4);
    assert.equal(
      deletedBytes,
      planned.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
    assert.ok(deletedBytes > 4 * 100);
    assert.deepEqual(await Promise.all(versions.map(isThere)), [false, false, false, false, true, true]);
    // signature.json is the same in all six, and two of them are kept.
    for (const digest of versions)
      for (const file of (await getManifest(registry.store, digest, 'Model')).files)
        if (file.path === 'signature.json') assert.equal(await registry.store.blobs.has(file.digest), true);
    assert.deepEqual(await collect(lineage(registry.store, versions[0]!)), before);
    const absent = await allPrunedFiles(registry.store);
    assert.deepEqual((await verifyStore(registry.store, { absent })).problems, []);
    assert.equal((await verifyStore(registry.store)).problems.length, 4, 'without the record they would be missing');
    assert.deepEqual((await prune(registry.store, model, { ...nothing, newest: 2 }, word)).deletedFiles, 0);
  });

  it('killed between record and deletion, the next run deletes the rest', async () => {
    let deletions = 0;
    const { upkeep } = registry.store;
    const killed = {
      ...registry.store,
      upkeep: {
        ...upkeep,
        deleteIfOlder: async (digest: Digest, olderThan: Date) => {
          if (deletions === 2) throw new Error('killed');
          deletions += 1;
          return await upkeep.deleteIfOlder(digest, olderThan);
        },
      },
    };
    await assert.rejects(prune(killed, model, { ...nothing, newest: 1 }, word), /killed/);
    assert.equal((await Promise.all(versions.map(isThere))).filter(Boolean).length, 4);
    assert.deepEqual(
      (await verifyStore(registry.store, { absent: await allPrunedFiles(registry.store) })).problems,
      [],
    );
    assert.equal((await prune(registry.store, model, { ...nothing, newest: 1 }, word)).deletedFiles, 3);
  });

  it('what is rolled back to while it prunes stays', async () => {
    const { refs } = registry.store;
    const racing = {
      ...registry.store,
      refs: new Proxy(refs, {
        get: (target, name) =>
          name !== 'append'
            ? Reflect.get(target, name).bind(target)
            : async (...args: Parameters<typeof refs.append>) => {
                const entry = await target.append(...args);
                await desire(versions[0]!);
                return entry;
              },
      }),
    };
    // The signature is the one that all share: it stays with version 1.
    assert.equal((await prune(racing, model, nothing, word)).deletedFiles, 5);
    assert.equal(await isThere(versions[0]!), true);
  }).timeout(10_000);

  it('retention: newest, young, one a month, and the float origin of what is kept', () => {
    const digest = (n: number): Digest => `sha256:${String(n).repeat(64)}`;
    const at = (n: number): string => new Date(Date.UTC(2026, n, 15)).toISOString();
    const of = (n: number, version: number | null = n) => ({ digest: digest(n), version, at: at(n), origin: null });
    const models = [of(1), { ...of(2), origin: digest(5) }, of(3), of(4), of(5, null), of(6, null)];
    const kept = retention(
      models,
      new Map([[digest(2), new Set(['champion'])]]),
      { ...nothing, newest: 1 },
      Date.parse(at(8)),
    );
    assert.deepEqual([...kept.values()], [[], ['champion'], [], ['one of the newest 1'], ['origin of version 2'], []]);
    const monthly = retention(models, new Map(), { ...nothing, monthly: true }, Date.parse(at(8)));
    assert.deepEqual([...monthly.values()].filter((why) => why.length > 0).length, 5);
    const young = retention(models, new Map(), { ...nothing, youngerThanMs: 86_400_000 }, Date.parse(at(6)) + 1);
    assert.deepEqual([...young.values()].flat(), ['young']);
  });
});
