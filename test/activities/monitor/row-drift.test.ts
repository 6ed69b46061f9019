import assert from 'node:assert/strict';
import { createDataActivities } from '../../../src/activities/data.ts';
import type { DataActivities } from '../../../src/contracts/activities.ts';
import type { Digest } from '../../../src/contracts/digest.ts';
import { MonitorRecord } from '../../../src/contracts/monitor.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { getJson } from '../../../src/store/manifests.ts';
import { type FileChanges, House, row, rows, run, type TestRow } from '../house.ts';

const watched: FileChanges = { triggers: { drift: { window: 60 } } };
/** Words come back, as they do in a language. */
const written = (from: number, to: number, words: (n: number) => string): TestRow[] =>
  rows(from, to).map((made, i) => ({ ...made, text: words(from + i) }));
const usual = (n: number): string => `the ${['report', 'lunch', 'paper', 'list'][n % 4]} of day ${n % 7}`;
const shouted = (n: number): string => `WIN ${['viagra', 'casino', 'lottery'][n % 3]} now, click here again and again`;

describe('monitor: new rows', () => {
  let house: House;
  let data: DataActivities;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
  });
  afterEach(() => house.close());

  const probe = async (specDigest: Digest) =>
    (await run(data.probeData, { loop: 'spam', specDigest, waitMs: null })).trigger;
  const record = async () => {
    const ref = await house.store.refs.read(refNames.monitor('spam'));
    return ref && (await getJson(house.store, MonitorRecord, ref.digest));
  };

  it('a shift of a text starts a cycle, with its evidence; rows like those before do not', async () => {
    const spec = await house.apply(watched);
    await house.deliver(...written(0, 200, usual));
    assert.equal(await probe(spec), null, 'there is nothing to compare with');
    await house.snapshotAndAccept(spec);
    await house.deliver(...written(200, 270, usual));
    assert.equal(await probe(spec), null);
    const calm = (await record())?.rows;
    assert.deepEqual([calm?.drift?.window, calm?.drift?.reason], [1, null]);
    assert.deepEqual(calm?.drift?.findings.map(({ subject }) => subject).sort(), [
      'label',
      'text length',
      'text terms',
      'text unknown words',
    ]);

    await house.deliver(...written(270, 319, shouted));
    assert.equal(await probe(spec), null, 'a window that is not full says nothing');
    await house.deliver(...written(319, 330, shouted));
    const reason = await probe(spec);
    assert.match(
      reason ?? '',
      /^drift: text (terms|length|unknown words), PSI \d+\.\d\d on 60 rows against 200 \(p .*; and 2 more$/,
    );
    assert.equal((await record())?.rows?.drift?.reason, reason);

    const again = createDataActivities({ store: house.store, ...house.programs });
    const asked = await run(again.probeData, { loop: 'spam', specDigest: spec, waitMs: null });
    assert.equal(asked.trigger, reason, 'a worker that starts afresh finds the same');

    await house.snapshotAndAccept(spec, 2);
    assert.equal(await probe(spec), null, 'what was learned from is no longer new');
  });

  it('sees numbers, categories, what is missing, and the labels', async () => {
    const columns = { id: 'id', time: 'at', label: 'kind', features: ['text', 'source', 'size'] };
    const spec = await house.apply({ ...watched, data: { columns } });
    const shaped = (from: number, to: number, size: (n: number) => number | null, kind?: string) =>
      written(from, to, usual).map((made, i) =>
        JSON.stringify({ ...made, size: size(from + i), ...(kind && { kind }) }),
      );
    const sizes = (n: number): number => (n * 37) % 100;
    await house.deliver(...shaped(0, 200, sizes));
    await house.snapshotAndAccept(spec);
    await house.deliver(...shaped(200, 260, sizes));
    assert.equal(await probe(spec), null);
    const findings = (await record())?.rows?.drift?.findings ?? [];
    assert.deepEqual(
      Object.fromEntries(findings.filter(({ kind }) => kind !== 'terms').map(({ subject, kind }) => [subject, kind])),
      {
        ...{ label: 'categories', source: 'categories', size: 'numbers' },
        ...{ 'text length': 'numbers', 'text unknown words': 'numbers' },
      },
    );
    await house.deliver(...shaped(260, 320, (n) => (n % 2 === 0 ? null : sizes(n) + 80), 'spam'));
    assert.match((await probe(spec)) ?? '', /^drift: /);
    const drifted = (await record())?.rows?.drift?.findings.filter((finding) => finding.drifted);
    assert.deepEqual(drifted?.map(({ subject }) => subject).sort(), ['label', 'size', 'size missing']);
  });

  it('rows whose labels may still change belong to no window', async () => {
    const spec = await house.apply({ ...watched, data: { labelDelay: '30m' } });
    await house.deliver(...written(0, 200, usual));
    await house.snapshotAndAccept(spec);
    await house.deliver(...written(200, 259, shouted));
    assert.equal(await probe(spec), null);
    assert.equal((await record())?.rows ?? null, null, '59 + 30 that waited − 30 that wait are 59');
    await house.deliver(...written(259, 265, shouted));
    assert.match((await probe(spec)) ?? '', /^drift: /);
  });

  it('bias: groups of labelled live answers, and why', async () => {
    const spec = await house.apply({ triggers: { bias: { positive: 'spam', window: 400, minRows: 40 } } });
    await house.deliver(...rows(0, 60));
    await house.snapshotAndAccept(spec);
    const answer = async (from: number, to: number, isOverlooked: (made: TestRow) => boolean) => {
      const fresh = rows(from, to);
      await house.answered(
        fresh.map((made) => ({
          inferenceId: made.id,
          answer: { label: isOverlooked(made) ? 'ham' : String(made.kind), score: 0.5 },
        })),
      );
      await house.deliver(...fresh);
    };
    await answer(60, 460, () => false);
    assert.equal(await probe(spec), null);
    const fair = (await record())?.rows?.bias;
    assert.deepEqual([fair?.window, fair?.findings[1]?.estimate, fair?.reason], [1, 0, null]);
    await answer(460, 860, ({ source }) => source === 'web');
    assert.match(
      (await probe(spec)) ?? '',
      /^bias: equal opportunity difference by source 100\.0 pt \(at least \d+\.\d pt\) between source=mail and source=web, above 10\.0 pt$/,
    );
  });

  it('a loop without these triggers leaves no record', async () => {
    const spec = await house.apply({ triggers: { newRows: 1_000 } });
    await house.deliver(row(1));
    assert.equal(await probe(spec), null);
    assert.equal(await record(), undefined);
  });
});
