import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { createDataActivities } from '../../src/activities/data.ts';
import type { DataActivities } from '../../src/contracts/activities.ts';
import { refNames } from '../../src/contracts/names.ts';
import { type FileChanges, failure, House, row, rows, run, type TestRow } from './house.ts';

/** Data as listed in reliability-and-security.md §3.5: a typed answer to each, and nothing has been started. */
describe('rows that are no data', () => {
  let house: House;
  let data: DataActivities;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
  });
  afterEach(() => house.close());

  const check = async (changes: FileChanges = {}) => {
    const plan = await house.plan(await house.apply(changes));
    const { dataset, ...counts } = await run(data.snapshotData, { plan });
    const { problems } = await run(data.checkData, { plan, dataset });
    return { counts, manifest: await house.dataset(dataset), problems: problems.map(({ message }) => message) };
  };
  const nothingStarted = async (): Promise<void> => {
    for (const name of [refNames.dataset('spam'), refNames.cycles('spam'), refNames.champion('spam-filter')])
      assert.equal(await house.store.refs.read(name), undefined, name);
    assert.deepEqual((await readdir(house.loopFolder)).sort(), ['feed.mjs', 'rows.jsonl'], 'nothing beside the loop');
  };

  const fields: [what: string, changes: Partial<Record<keyof TestRow, unknown>>, problem: string][] = [
    [
      'a row of the year 1',
      { at: '0001-01-01T00:00:00Z' },
      'at: expected an ISO time with its offset that is not in the future',
    ],
    ['a row of the future', { at: '2999-01-01T00:00:00Z' }, 'at: expected an ISO time'],
    ['a leap second that no clock has', { at: '2002-08-01T00:00:61Z' }, 'at: expected an ISO time'],
    ['a month 13', { at: '2002-13-01' }, 'at: expected an ISO time'],
    ['a number as the time', { at: 1_028_160_000_000 }, 'at: expected an ISO time'],
    ['a label that is a list', { kind: ['spam'] }, 'kind: expected a class of at most 256 printable characters'],
    ['an empty label', { kind: '' }, 'kind: expected a class'],
    ['a label of 257 characters', { kind: 'x'.repeat(257) }, 'kind: expected a class'],
    ['a label that is a prototype', { kind: '__proto__' }, 'kind: expected a class'],
    ['an id of 1,001 characters', { id: 'x'.repeat(1_001) }, 'id: expected text of 1 to 256 characters'],
    ['a feature that is an object', { text: {} }, 'text: expected text, a finite number'],
    ['a slice that is null', { source: null }, 'source: expected a slice value'],
    ['a column that is missing', { text: undefined }, 'text: expected text, a finite number'],
  ];
  for (const [what, changes, problem] of fields)
    it(`counts ${what}, names the field, and trains on nothing`, async () => {
      await house.deliver(...rows(0, 20), JSON.stringify({ ...row(20), ...changes }));
      const { counts, manifest, problems } = await check();
      assert.equal(counts.newRows, 20);
      const [found = ['', 0]] = Object.entries(manifest.segments[0]!.schemaErrors);
      assert.ok(found[0].startsWith(problem), JSON.stringify(found));
      assert.equal(found[1], 1);
      assert.ok(
        problems.some((message) => message.startsWith('1 of 20 rows do not fit the schema: ')),
        problems.join(),
      );
      await nothingStarted();
    });

  for (const number of ['1,5', '1e400', '0x10', '∞', ' NaN', 'NaN', '', '1_000', '+1', '.5', '1.', '٣', null, true])
    it(`takes ${JSON.stringify(number)} for no number, where labels are numbers`, async () => {
      await house.deliver(
        ...rows(0, 20).map((r, n) => ({ ...r, kind: n / 4 })),
        JSON.stringify({ ...row(20), kind: number }),
      );
      const { counts, manifest, problems } = await check({
        data: { task: 'regression' },
        gate: { metrics: [{ metric: 'rmse', ceiling: 1 }] },
      });
      assert.deepEqual([counts.newRows, manifest.segments[0]!.labelRange], [20, { lowest: 0, highest: 4.75 }]);
      assert.deepEqual(manifest.classCounts, {}, 'a number is no class');
      assert.deepEqual(problems, [
        '1 of 20 rows do not fit the schema: kind: expected a finite number, data.task is regression',
      ]);
      await nothingStarted();
    });

  it('has nothing to learn from numbers that are all the same', async () => {
    await house.deliver(...rows(0, 20, { kind: '7.5' }));
    const { problems } = await check({
      data: { task: 'regression' },
      gate: { metrics: [{ metric: 'rmse', ceiling: 1 }] },
    });
    assert.deepEqual(problems, ['all 20 rows have one label, 7.5: nothing to learn from']);
  });

  it('has too little in one row, and nothing in none', async () => {
    const none = await check();
    assert.deepEqual([none.counts.newRows, none.counts.trainRows], [0, 0]);
    await house.deliver(row(0));
    const { problems } = await check();
    assert.deepEqual(problems, [
      '1 rows to train on, at least 10 are required',
      'all 1 rows have one label, "ham": nothing to learn from',
    ]);
    await nothingStarted();
  });

  it('parks on a class that nobody expected, when it is rare', async () => {
    await house.deliver(...rows(0, 200), row(200, { kind: 'hma' }));
    const { problems } = await check();
    assert.deepEqual(problems, ['1 of 201 rows (0.498 %) have the label "hma", at least 1 % are required']);
  });

  it('takes rows in any order of their times', async () => {
    await house.deliver(...rows(0, 40).reverse());
    const { manifest, problems } = await check();
    assert.deepEqual(problems, []);
    assert.deepEqual([manifest.segments[0]!.from, manifest.segments[0]!.to], [row(0).at, row(39).at]);
  });

  const prints = (body: string) => house.write('feed.mjs', body);
  const outputs: [what: string, program: string, type: string, problem: RegExp][] = [
    [
      'UTF-16',
      'process.stdout.write(Buffer.from(`{"cursor": "1"}\\n`, "utf16le"));',
      'BadData',
      /line 1 is not (?:JSON|UTF-8)/,
    ],
    ['Latin-1', 'process.stdout.write(Buffer.from([0x7b, 0x22, 0xe9, 0x0a]));', 'BadData', /line 1 is not UTF-8/],
    ['CSV', 'console.log("id,at,kind\\n1,2002-08-01,spam");', 'BadData', /line 1 is not JSON/],
    [
      'a quote that never closes',
      'console.log(`{"id": "a, "text": "b"}\\n{"cursor": "1"}`);',
      'BadData',
      /line 1 is not JSON/,
    ],
    ['half a row at its end', 'process.stdout.write(`{"id": "a", "te`);', 'BadData', /line 1 is not JSON/],
    ['no cursor', 'console.log(JSON.stringify({ id: "a" }));', 'BadData', /the last line must be \{"cursor"/],
    ['nothing at all', '', 'BadData', /the last line must be \{"cursor"/],
    ['a cursor that is a number', 'console.log(`{"cursor": 7}`);', 'BadData', /the last line must be \{"cursor"/],
    [
      'a line without an end',
      'const mib = "x".repeat(2 ** 20); for (let i = 0; i < 17; i++) process.stdout.write(mib);',
      'BadData',
      /line 1 is longer than 16777216 bytes/,
    ],
  ];
  for (const [what, program, type, problem] of outputs)
    it(`refuses a program that prints ${what}`, async () => {
      await prints(program);
      const plan = await house.plan(await house.apply());
      await assert.rejects(run(data.snapshotData, { plan }), failure(type, problem));
      await nothingStarted();
    });

  it('takes a byte order mark', async () => {
    await prints('process.stdout.write(`\\ufeff{"cursor": "1"}\\n`);');
    assert.equal((await check()).manifest.cursor, '1');
  });

  it('takes a row of 100,000 columns, and only those that the loop names', async () => {
    const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`c${i}`, i]));
    await house.deliver(...rows(0, 20), JSON.stringify({ ...wide, ...row(20) }));
    const { counts, manifest } = await check();
    assert.equal(counts.newRows, 21);
    assert.ok((await house.lines(manifest.segments[0]!.rows)).every((line) => line.length < 300));
  });
});
