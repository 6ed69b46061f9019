import assert from 'node:assert/strict';
import type { DataRow } from '../../src/activities/data/rows.ts';
import { createDataActivities } from '../../src/activities/data.ts';
import type { DataActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { refNames } from '../../src/contracts/names.ts';
import { failure, House, row, rows, run } from './house.ts';

describe('snapshot of the data', () => {
  let house: House;
  let data: DataActivities;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
  });
  afterEach(() => house.close());

  const snapshot = async (spec: Digest, n = 1) => await run(data.snapshotData, { plan: await house.plan(spec, n) });
  const rowsOf = async (digest: Digest): Promise<DataRow[]> =>
    (await house.lines(digest)).map((line) => JSON.parse(line) as DataRow);

  it('parts the rows by content, the same way every time, and counts them', async () => {
    await house.deliver(...rows(0, 200));
    const { dataset: digest, ...counts } = await snapshot(await house.apply());
    const dataset = await house.dataset(digest);
    const [segment] = dataset.segments;
    assert.ok(segment);
    assert.equal(segment.trainRows + segment.holdoutRows, 200);
    assert.ok(segment.holdoutRows > 20 && segment.holdoutRows < 60, `${segment.holdoutRows} of 200 rows are held out`);
    assert.deepEqual(counts, {
      rowCount: 200,
      newRows: 200,
      trainRows: segment.trainRows,
      holdoutRows: segment.holdoutRows,
    });
    assert.deepEqual(dataset.classCounts, { ham: 100, spam: 100 });
    assert.deepEqual([segment.from, segment.to, dataset.cursor], [row(0).at, row(199).at, '200']);

    const [train, holdout] = [await rowsOf(segment.train), await rowsOf(segment.holdout)];
    assert.equal(new Set([...train, ...holdout].map(({ id }) => id)).size, 200);
    const first = (await rowsOf(segment.rows))[0];
    assert.deepEqual(first, {
      id: 'row-0',
      time: row(0).at,
      label: 'ham',
      features: { text: row(0).text },
      slices: ['source=web'],
    });
  });

  it('keeps near-duplicates on one side', async () => {
    const variants = rows(0, 60).flatMap(({ text, ...rest }, i) => [
      { ...rest, text: `Dear Ann, ${text} costs 100 EUR!` },
      { ...rest, id: `again-${i}`, text: `dear ann   ${text.toUpperCase()}: costs 2500 eur` },
    ]);
    await house.deliver(...variants);
    const { dataset } = await snapshot(await house.apply());
    const [segment] = (await house.dataset(dataset)).segments;
    assert.equal(segment!.repeats, 60);
    const train = new Set((await rowsOf(segment!.train)).map(({ id }) => id));
    for (let i = 0; i < 60; i++) assert.equal(train.has(`row-${i}`), train.has(`again-${i}`), `pair ${i}`);
    assert.ok(train.size > 0 && train.size < 120);
  });

  it('goes on from the accepted cursor, shares earlier segments and leaves out what it knows', async () => {
    const spec = await house.apply();
    await house.deliver(...rows(0, 50));
    const first = await house.snapshotAndAccept(spec);
    await house.deliver(row(7), row(50), row(50), ...rows(51, 60));
    const second = await snapshot(spec, 2);
    assert.equal(second.newRows, 10);
    const dataset = await house.dataset(second.dataset);
    assert.deepEqual(dataset.parents, [first.dataset]);
    assert.deepEqual(dataset.segments[0], (await house.dataset(first.dataset)).segments[0]);
    assert.equal(dataset.segments[1]!.redelivered, 2);
    assert.equal(dataset.rowCount, 60);
  });

  it('moves the cursor on when nothing but known rows came, and is the same dataset when nothing came', async () => {
    const spec = await house.apply();
    await house.deliver(...rows(0, 50));
    const first = await house.snapshotAndAccept(spec);
    assert.equal((await snapshot(spec, 2)).dataset, first.dataset);
    await house.deliver(row(3));
    const again = await snapshot(spec, 2);
    assert.deepEqual([again.newRows, again.dataset === first.dataset], [0, false]);
    const dataset = await house.dataset(again.dataset);
    assert.deepEqual([dataset.cursor, dataset.segments.length], ['51', 1]);
  });

  it('counts rows that do not fit by what is wrong with them, and never shows them', async () => {
    const bad: object[] = [
      { ...row(100), id: '' },
      { ...row(101), id: 7 },
      { ...row(102), at: 'yesterday' },
      { ...row(103), at: '2002-08-01T00:00:00' },
      { ...row(104), at: '9999-01-01T00:00:00Z' },
      { ...row(105), kind: null },
      { ...row(106), kind: 'two\nlines' },
      { ...row(107), text: { secret: 'mail of Ann' } },
      { ...row(108), source: undefined },
      { ...row(109), source: 'x'.repeat(101) },
      [row(110)],
    ];
    await house.deliver(...rows(0, 20), ...bad.map((value) => JSON.stringify(value)), '7', 'null');
    const { dataset, newRows } = await snapshot(await house.apply());
    const [segment] = (await house.dataset(dataset)).segments;
    assert.equal(newRows, 20);
    assert.deepEqual(segment!.schemaErrors, {
      'id: expected text of 1 to 256 characters': 2,
      'at: expected an ISO time with its offset that is not in the future': 3,
      'kind: expected a class of at most 256 printable characters, or a number': 2,
      'text: expected text, a finite number, true, false or null': 1,
      'source: expected a slice value of at most 100 printable characters': 2,
      'expected an object on each line': 3,
    });
  });

  it('keeps every character of a row, and one line a row for any reader', async () => {
    const text = 'a\u2028b\u2029c\u0085d\u0000e "quoted" \ud800 🎉';
    await house.deliver(...rows(0, 5), row(5, { text }));
    const { dataset } = await snapshot(await house.apply());
    const [segment] = (await house.dataset(dataset)).segments;
    assert.equal((await rowsOf(segment!.rows))[5]!.features.text, text);
    const bytes = Buffer.from(await house.store.blobs.read(segment!.rows)).toString('utf8');
    assert.equal(bytes.split(/\r\n|[\n\r\u0085\u2028\u2029]/).length, 7);
  });

  it('gives labels and numbers of every kind as text', async () => {
    await house.deliver(row(0, { kind: true }), row(1, { kind: 3.5 }), row(2, { kind: '0' }));
    const { dataset } = await snapshot(await house.apply());
    assert.deepEqual((await house.dataset(dataset)).classCounts, { true: 1, '3.5': 1, '0': 1 });
  });

  it('parts all earlier rows anew when the spec holds out another share', async () => {
    await house.deliver(...rows(0, 200));
    const spec = await house.apply();
    const first = await house.snapshotAndAccept(spec);
    const more = await snapshot(await house.apply({ data: { holdout: { share: '40%', newest: 10 } } }), 2);
    assert.equal(more.newRows, 0);
    assert.ok(more.holdoutRows > first.holdoutRows);
    const [before, after] = [await house.dataset(first.dataset), await house.dataset(more.dataset)];
    assert.equal(after.segments[0]!.rows, before.segments[0]!.rows);
    const heldOut = new Set(await house.lines(after.segments[0]!.holdout));
    for (const line of await house.lines(before.segments[0]!.holdout)) assert.ok(heldOut.has(line));
  });

  it('run twice, makes one dataset', async () => {
    await house.deliver(...rows(0, 30));
    const spec = await house.apply();
    const [first, second] = [await snapshot(spec), await snapshot(spec)];
    assert.deepEqual(second, first);
    let pins = 0;
    for await (const _ of house.store.refs.history(refNames.pin('spam', 1))) pins += 1;
    assert.equal(pins, 1);
  });

  it('is empty, and not an error, without any rows', async () => {
    const { dataset, ...counts } = await snapshot(await house.apply());
    assert.deepEqual(counts, { rowCount: 0, newRows: 0, trainRows: 0, holdoutRows: 0 });
    assert.deepEqual((await house.dataset(dataset)).segments, []);
  });

  it('leaves nothing behind when the program breaks off', async () => {
    await house.deliver(...rows(0, 30), '{broken');
    await assert.rejects(snapshot(await house.apply()), failure('BadData', 'line 31 is not JSON'));
    let blobs = 0;
    for await (const _ of house.store.upkeep.blobs()) blobs += 1;
    assert.equal(blobs, 1, 'the spec alone is in the store');
  });

  it('refuses the acceptance of a late worker', async () => {
    const spec = await house.apply();
    await house.deliver(...rows(0, 20));
    const plan = await house.plan(spec);
    const first = await run(data.snapshotData, { plan });
    const accept = { plan, dataset: first.dataset, by: 'goto3', reason: 'checked' };
    await run(data.acceptData, accept);
    await run(data.acceptData, accept);
    assert.equal((await house.store.refs.read(refNames.dataset('spam')))?.entry, 1);

    await house.deliver(...rows(20, 30));
    await house.snapshotAndAccept(spec, 2);
    await assert.rejects(
      run(data.acceptData, { ...accept, plan: { ...plan, n: 7 }, by: 'late' }),
      failure('RefConflict', 'written by goto3'),
    );
    assert.equal((await house.store.refs.read(refNames.dataset('spam')))?.entry, 2);
  });
});
