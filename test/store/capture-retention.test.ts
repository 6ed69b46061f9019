import assert from 'node:assert/strict';
import { DesiredState } from '../../src/contracts/endpoint.ts';
import { refNames } from '../../src/contracts/names.ts';
import { retainCaptures } from '../../src/store/capture-retention.ts';
import { putJson } from '../../src/store/manifests.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { AgeingStore, point } from './ageing-store.ts';
import { capture, collect, digestOfDigit } from './samples.ts';

/** More than a folder of a thousand, so that a thousand can be packed. */
const folderful = 1_001;

describe('retention of captures', () => {
  let ageing: AgeingStore;
  let store: KeptStore;
  beforeEach(async () => {
    ageing = new AgeingStore();
    store = await ageing.open();
  });

  let rows = 0;
  const write = async (count: number, replica = 'r1'): Promise<void> => {
    for (let i = 0; i < count; i += 1)
      await store.captures.append('mail', replica, [{ ...capture(`row-${++rows}`), timeMs: ageing.nowMs }]);
  };
  const kept = async (): Promise<number> => (await store.captures.read('mail', undefined, 100_000)).records.length;
  const retain = async (dryRun = false) => {
    const [report] = await retainCaptures(store, { now: ageing.now, dryRun });
    return report!;
  };
  let generation = 0;
  const desire = async (...variants: { name: string; weight: number; shadow: boolean }[]): Promise<void> => {
    generation += 1;
    const model = digestOfDigit('a');
    const state = { endpoint: 'mail', generation, variants: variants.map((v) => ({ ...v, model })), frozen: null };
    const digest = await putJson(store, DesiredState, { schema: 'goto3/desired/v1', ...state });
    await point(store, refNames.desired('mail'), digest, `generation ${generation}`);
  };

  it('packs what is there, and drops by whole packs what is older than 90 days', async () => {
    await write(folderful);
    ageing.pass(60);
    await write(folderful);
    const young = await retain();
    assert.deepEqual([young.packedSegments, young.droppedPacks, young.droppedBytes], [2_000, 0, 0]);
    ageing.pass(31);
    // One pack holds both; it goes when the newest of it is old.
    assert.equal((await retain()).droppedPacks, 0);
    ageing.pass(60);
    await write(1);
    const dry = await retain(true);
    assert.equal(await kept(), 2 * folderful + 1);
    const report = await retain();
    assert.deepEqual(report, dry);
    assert.equal(report.droppedPacks, 1);
    assert.ok(report.droppedBytes > 100_000);
    assert.equal(await kept(), 3);
  });

  it('forgets a replica that wrote nothing since, and takes it up again when it comes back', async () => {
    await write(20, 'gone');
    await write(20, 'stays');
    ageing.pass(91);
    await write(1, 'stays');
    const report = await retain();
    assert.deepEqual([report.droppedReplicas, await kept()], [1, 21]);
    assert.deepEqual(JSON.parse(await store.captures.tail('mail')), { stays: 21 });
    await write(1, 'gone');
    store = await ageing.open();
    await write(1, 'gone');
    assert.deepEqual(await kept(), 23);
  });

  it('keeps all that an open probation rests on, and says so', async () => {
    const current = { name: 'current', weight: 100, shadow: false };
    await desire(current);
    await write(folderful);
    ageing.pass(10);
    await desire({ ...current, weight: 95 }, { name: 'candidate', weight: 5, shadow: false });
    ageing.pass(1);
    await desire(current, { name: 'stable', weight: 0, shadow: true });
    await write(folderful);
    await retain();
    ageing.pass(200);
    const frozen = { name: 'first-model', weight: 0, shadow: true };
    await desire(current, { name: 'stable', weight: 0, shadow: true }, frozen);
    await write(1);
    const open = await retain();
    assert.match(open.keptBecause!, /probation/);
    assert.equal(open.keptSince.slice(0, 10), '2026-01-11');
    assert.equal(await kept(), 2 * folderful + 1);

    await desire(current, frozen);
    const ended = await retain();
    assert.equal(ended.keptBecause, undefined);
    assert.ok(ended.droppedPacks > 0);
    const ids = new Set(['row-1', `row-${rows}`]);
    assert.deepEqual(
      (await collect(store.captures.find('mail', ids))).map((r) => r.inferenceId),
      [`row-${rows}`],
    );
  });
});
