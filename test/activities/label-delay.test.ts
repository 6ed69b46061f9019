import assert from 'node:assert/strict';
import type { DataRow } from '../../src/activities/data/rows.ts';
import { createDataActivities } from '../../src/activities/data.ts';
import { createEndpointActivities } from '../../src/activities/endpoint.ts';
import type { DataActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { constantModel } from '../serving/models.ts';
import { type FileChanges, failure, House, row, rows, run } from './house.ts';

/** Rows are a minute apart: a delay of ten minutes is ten rows. */
const delayed: FileChanges = { data: { labelDelay: '10m' } };
const names = (from: number, to: number): string[] => rows(from, to).map(({ id }) => id);

describe('label delay', () => {
  let house: House;
  let data: DataActivities;
  let spec: Digest;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
    spec = await house.apply(delayed);
  });
  afterEach(() => house.close());

  const snapshot = async (n: number) => {
    const { plan, ...counts } = await house.snapshotAndAccept(spec, n);
    const dataset = await house.dataset(counts.dataset);
    const parts = await Promise.all(dataset.segments.map(async ({ rows: digest }) => await house.lines(digest)));
    return { ...counts, manifest: dataset, rows: parts.flat().map((line) => JSON.parse(line) as DataRow) };
  };

  it('takes a row when it is old enough in the time of the data, whatever the clock says', async () => {
    await house.deliver(...rows(0, 40));
    const first = await snapshot(1);
    assert.deepEqual([first.rowCount, first.newRows], [30, 30]);
    assert.deepEqual(
      first.rows.map(({ id }) => id),
      names(0, 30),
    );
    assert.deepEqual([first.manifest.waiting?.rowCount, first.manifest.newestTime], [10, row(39).at]);
    assert.equal(first.manifest.cursor, '40', 'they are kept, so they need not come again');

    await house.deliver(...rows(40, 45));
    const second = await snapshot(2);
    assert.deepEqual([second.rowCount, second.newRows, second.manifest.waiting?.rowCount], [35, 5, 10]);
    assert.deepEqual(
      second.rows.map(({ id }) => id),
      names(0, 35),
    );
  });

  it('lets the last word about a label count while the row waits', async () => {
    await house.deliver(...rows(0, 20));
    await snapshot(1);
    await house.deliver(row(15, { kind: 'fraud' }), row(5, { kind: 'fraud' }), ...rows(20, 40));
    const { rows: all, manifest } = await snapshot(2);
    const labelOf = (n: number) => all.find(({ id }) => id === `row-${n}`)?.label;
    assert.equal(labelOf(15), 'fraud');
    assert.equal(labelOf(5), 'spam', 'what was taken stays');
    assert.equal(all.length, new Set(all.map(({ id }) => id)).size);
    assert.equal(manifest.segments[1]!.redelivered, 1);
  });

  it('waits while nothing is old enough, and is the same dataset when nothing came', async () => {
    await house.deliver(...rows(0, 30));
    const first = await snapshot(1);
    assert.equal((await snapshot(2)).dataset, first.dataset);
    await house.deliver(row(29, { text: 'again' }));
    const again = await snapshot(3);
    assert.deepEqual([again.newRows, again.rowCount, again.manifest.waiting?.rowCount], [0, 20, 10]);
  });

  it('counts what is old enough for the trigger and for live accuracy, also what has waited', async () => {
    const trigger = await house.apply({ ...delayed, triggers: { newRows: 12, liveAccuracyBelow: 0.9 } });
    const probe = async () => await run(data.probeData, { loop: 'spam', specDigest: trigger, waitMs: null });
    await house.deliver(...rows(0, 30));
    await snapshot(1);
    await house.deliver(...rows(30, 41));
    assert.deepEqual(await probe(), { newRows: 11, trigger: null });
    await house.deliver(row(41));
    assert.deepEqual(await probe(), { newRows: 12, trigger: '12 new rows' });
  });

  it('leaves answers out of live accuracy whose labels may still change', async () => {
    const trigger = await house.apply({ ...delayed, triggers: { liveAccuracyBelow: 0.95 } });
    const probe = async () => await run(data.probeData, { loop: 'spam', specDigest: trigger, waitMs: null });
    await house.deliver(...rows(0, 10));
    await snapshot(1);
    // Right for sixty rows, wrong for those whose labels are too young.
    await house.answered(
      rows(10, 80).map(({ id, kind }, i) => ({
        inferenceId: id,
        answer: { label: i < 60 ? String(kind) : 'neither', score: 0.5 },
      })),
    );
    await house.deliver(...rows(10, 80));
    assert.equal((await probe()).trigger, null);
    await house.deliver(...rows(80, 90));
    assert.match((await probe()).trigger ?? '', /live accuracy 85\.7 % on 70 labelled answers/);
  });

  it('keeps what waits when a slice of the new rows is dropped', async () => {
    await house.deliver(...rows(0, 30));
    const plan = await house.plan(spec);
    const { dataset } = await run(data.snapshotData, { plan });
    const dropped = await run(data.dropData, { plan, dataset, slice: 'source=web' });
    const manifest = await house.dataset(dropped.dataset);
    assert.deepEqual([dropped.rowCount < 20, manifest.waiting?.rowCount, manifest.newestTime], [true, 10, row(29).at]);
  });

  it('ends a probation when labels, not rows, have come for long enough', async () => {
    const endpoint = createEndpointActivities({ store: house.store, pollMs: 20 });
    await house.deliver(...rows(0, 40));
    await snapshot(1);
    const model = await house.model(constantModel(0.9));
    const probation = {
      endpoint: 'mail',
      loop: 'spam',
      model,
      forMs: 20 * 60_000,
      accuracyLoss: 0.03,
      sinceMs: Date.now() + 1,
    };
    const look = async () => await run(endpoint.observeProbation, probation);
    await house.deliver(...rows(40, 65));
    await snapshot(2);
    await assert.rejects(look(), failure('NotYet'), 'rows of 25 minutes, labels of 15');
    await house.deliver(...rows(65, 70));
    await snapshot(3);
    assert.equal((await look()).outcome, 'passed');
  });
});
