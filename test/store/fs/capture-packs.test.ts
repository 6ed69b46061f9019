import assert from 'node:assert/strict';
import type { CaptureRecord } from '../../../src/contracts/endpoint.ts';
import { CorruptLog } from '../../../src/store/errors.ts';
import type { FsOps } from '../../../src/store/fs/fs-ops.ts';
import { openFsStore } from '../../../src/store/fs/store.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { capture, collect } from '../samples.ts';
import { dyingFs, isChanging } from './dying-fs.ts';
import { PowerCutFs } from './power-cut-fs.ts';

/** Segments of a complete folder. */
const folderful = 1_000;

describe('capture packs', () => {
  let fs: PowerCutFs;
  let store: KeptStore;
  beforeEach(async () => {
    fs = new PowerCutFs();
    store = await open();
  });

  const open = (ops: FsOps = fs): Promise<KeptStore> => openFsStore('/store', { ops });
  const record = (i: number): CaptureRecord => ({ ...capture(`row-${i}`), timeMs: 1_000_000 + i });
  const write = async (from: number, to: number): Promise<void> => {
    for (let i = from; i <= to; i += 1) await store.captures.append('mail', 'r1', [record(i)]);
  };
  const ids = (records: CaptureRecord[]): string[] => records.map(({ inferenceId }) => inferenceId);
  const rows = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, i) => `row-${from + i}`);
  const readOn = async (cursor?: string, limit?: number): Promise<string[]> => {
    const all: string[] = [];
    for (let next = cursor; ; ) {
      const page = await store.captures.read('mail', next, limit);
      if (page.records.length === 0) return all;
      all.push(...ids(page.records));
      next = page.cursor;
    }
  };
  const home = '/store/captures/mail/r1';
  const namesIn = async (path = ''): Promise<string[]> =>
    (await fs.list(`${home}${path}`)).map(({ name }) => name).sort();
  const cursorAt = (number: number): string => JSON.stringify({ r1: number });

  it('hold what was in files, for every reader, and take the place of the files', async () => {
    await write(1, 2 * folderful + 50);
    const before = await readOn();
    assert.deepEqual(await store.upkeep.captures.pack('mail'), { segments: 2 * folderful, packs: 2 });
    assert.deepEqual(await namesIn(), ['000002', '@packs']);
    assert.deepEqual(await readOn(), before);
    for (const number of [1, 999, 1_000, 1_500, 1_999, 2_000, 2_049])
      assert.deepEqual(await readOn(cursorAt(number), 100), before.slice(number), `after ${number}`);
    assert.equal(await store.captures.tail('mail'), cursorAt(2_050));
    assert.deepEqual(await store.upkeep.captures.pack('mail'), { segments: 0, packs: 0 });

    // Another process goes on with the numbers, and finds by id in packs and files.
    store = await open();
    await write(2_051, 2_051);
    assert.deepEqual(await readOn(cursorAt(2_050)), ['row-2051']);
    const found = await collect(store.captures.find('mail', new Set(['row-7', 'row-1999', 'row-2040', 'row-0'])));
    assert.deepEqual(ids(found), ['row-7', 'row-1999', 'row-2040']);
    const recent = await collect(store.captures.find('mail', new Set(['row-7', 'row-2040']), 1_000_008));
    assert.deepEqual(ids(recent), ['row-2040']);
  });

  it('stay few: small ones join', async () => {
    for (let round = 0; round < 4; round += 1) {
      await write(round * folderful + 1 + Math.min(round, 1), (round + 1) * folderful + 1);
      await store.upkeep.captures.pack('mail', 'r1');
    }
    const packs = (await namesIn('/@packs')).filter((name) => name.endsWith('.index'));
    assert.ok(packs.length <= 2, packs.join(' '));
    assert.match(packs[0]!, /^000000001-/);
    assert.deepEqual(new Set(await readOn()), new Set(rows(1, 4 * folderful + 1)));
  });

  it('read the same wherever a run is killed, and the next run ends the work', async () => {
    await write(1, folderful + 20);
    const before = await readOn();
    const died = new Error('dead');
    let deaths = 0;
    for (let call = 1; ; call += call < 24 ? 1 : 211) {
      const dying = dyingFs(fs, () => Promise.reject(died), isChanging);
      const doomed = await open(dying.ops);
      dying.dieAt(call);
      const ended = await doomed.upkeep.captures.pack('mail').then(
        () => true,
        (error: unknown) => {
          assert.equal(error, died);
          return false;
        },
      );
      // What was not synced is lost or not, as it happens.
      if (!ended) fs.powerCut(() => call % 2 === 0);
      store = await open();
      assert.deepEqual(await readOn(), before, `after ${call} calls`);
      assert.deepEqual(ids(await collect(store.captures.find('mail', new Set(['row-500'])))), ['row-500']);
      if (ended) break;
      deaths += 1;
    }
    assert.ok(deaths > 10, `${deaths} deaths`);
    assert.deepEqual(await namesIn(), ['000001', '@packs']);
    assert.equal((await namesIn('/@packs')).length, 2);
  });

  it('hide nothing from a reader who reads while they are made', async () => {
    await write(1, folderful);
    const seen: string[] = [];
    let cursor: string | undefined;
    const reading = (async () => {
      while (seen.length < 2 * folderful) {
        const page = await store.captures.read('mail', cursor, 37);
        seen.push(...ids(page.records));
        cursor = page.cursor;
      }
    })();
    const packing = (async () => {
      while (seen.length < folderful) await store.upkeep.captures.pack('mail');
    })();
    for (let i = folderful + 1; i <= 2 * folderful; i += 1) await store.captures.append('mail', 'r1', [record(i)]);
    await Promise.all([reading, packing]);
    await store.upkeep.captures.pack('mail');
    assert.deepEqual(seen, rows(1, 2 * folderful));
  });

  it('survive two runs at once', async () => {
    await write(1, 2 * folderful);
    const other = await open();
    await Promise.all([store.upkeep.captures.pack('mail'), other.upkeep.captures.pack('mail')]);
    await store.upkeep.captures.pack('mail');
    assert.deepEqual(await readOn(), rows(1, 2 * folderful));
  });

  it('swallow no record of a process that slept while its numbers were packed', async () => {
    const sleeper = await open();
    await sleeper.captures.append('mail', 'r1', [record(1)]);
    await write(2, folderful + 5);
    await store.upkeep.captures.pack('mail');
    const cursor = await store.captures.tail('mail');
    await sleeper.captures.append('mail', 'r1', [record(9_999)]);
    assert.deepEqual(await readOn(cursor), ['row-9999']);
  });

  it('are refused when their bytes were changed', async () => {
    await write(1, folderful);
    await store.upkeep.captures.pack('mail');
    const body = (await namesIn('/@packs')).find((name) => name.endsWith('.segments'))!;
    fs.flipBit(`${home}/@packs/${body}`);
    await assert.rejects(readOn(), CorruptLog);
    await assert.rejects(collect(store.captures.find('mail', new Set(['row-1']))), CorruptLog);
  });
});
