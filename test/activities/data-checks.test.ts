import assert from 'node:assert/strict';
import { createDataActivities } from '../../src/activities/data.ts';
import type { CyclePlan, DataActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { failure, House, row, rows, run, type TestRow } from './house.ts';

describe('data checks', () => {
  let house: House;
  let data: DataActivities;
  beforeEach(async () => {
    house = await House.open();
    data = createDataActivities({ store: house.store, ...house.programs });
  });
  afterEach(() => house.close());

  const check = async (spec: Digest, n = 1) => {
    const plan = await house.plan(spec, n);
    const { dataset } = await run(data.snapshotData, { plan });
    return { plan, dataset, problems: (await run(data.checkData, { plan, dataset })).problems };
  };

  it('finds nothing wrong with good data', async () => {
    await house.deliver(...rows(0, 40));
    assert.deepEqual((await check(await house.apply())).problems, []);
  });

  it('finds too few rows, one class, a rare class, and rows that do not fit', async () => {
    await house.deliver(...rows(0, 5));
    assert.deepEqual(
      (await check(await house.apply())).problems.map((p) => [p.check, p.rows, p.slice]),
      [['minRows', 5, null]],
    );
    const onlyHam = await House.open();
    await onlyHam.deliver(...rows(0, 40, { kind: 'ham' }));
    const alone = createDataActivities({ store: onlyHam.store, ...onlyHam.programs });
    const plan = await onlyHam.plan(await onlyHam.apply());
    const { dataset } = await run(alone.snapshotData, { plan });
    const { problems } = await run(alone.checkData, { plan, dataset });
    assert.deepEqual(
      problems.map((p) => p.check),
      ['classBalance'],
    );
    assert.match(problems[0]!.message, /all 40 rows have one label, "ham"/);
    await onlyHam.close();
  });

  it('finds a rare class, and rows that do not fit, once', async () => {
    const spec = await house.apply();
    await house.deliver(...rows(0, 200, { kind: 'ham' }), row(200, { kind: 'spam' }), row(201, { id: '' }));
    const first = await check(spec);
    assert.deepEqual(
      first.problems.map((p) => [p.check, p.rows]),
      [
        ['schema', 1],
        ['classBalance', 1],
      ],
    );
    // A person accepts it: what was wrong with that segment is not asked about again.
    await run(data.acceptData, { plan: first.plan, dataset: first.dataset, by: 'ann', reason: 'one is enough' });
    await house.deliver(...rows(300, 400));
    assert.deepEqual((await check(spec, 2)).problems, []);
  });

  describe('against live answers', () => {
    /** The endpoint said the truth about all rows, the labels of one source are all wrong. */
    const poison = async (wrong: (r: TestRow) => boolean): Promise<{ plan: CyclePlan; dataset: Digest }> => {
      await house.deliver(...rows(0, 40));
      const spec = await house.apply({ data: { checks: { minRows: 10, labelDisagreement: '15%' } } });
      await house.snapshotAndAccept(spec);
      await house.crown(await house.model(Buffer.from('champion')));
      const fresh = rows(40, 240);
      await house.answered(
        fresh.map(({ id, kind }) => ({ inferenceId: id, answer: { label: String(kind), score: 1 } })),
      );
      const flipped = fresh.map((r) => (wrong(r) ? { ...r, kind: r.kind === 'ham' ? 'spam' : 'ham' } : r));
      await house.deliver(...flipped);
      const plan = await house.plan(spec, 2);
      return { plan, dataset: (await run(data.snapshotData, { plan })).dataset };
    };

    it('names the slice whose labels contradict what the endpoint answered', async () => {
      const input = await poison(({ source }) => source === 'web');
      const { problems } = await run(data.checkData, input);
      assert.deepEqual(
        problems.map((p) => [p.check, p.slice]),
        [
          ['labelDisagreement', null],
          ['labelDisagreement', 'source=web'],
        ],
      );
      assert.match(problems[1]!.message, /66 of 66 labels in source=web \(100 %/);
    });

    it('is quiet about a few contradictions, and about answers that no caller saw', async () => {
      const input = await poison(({ id }) => id === 'row-50' || id === 'row-51');
      const others = rows(40, 240).map(({ id }) => ({ inferenceId: id, answer: { label: 'neither', score: 0 } }));
      await house.answered(others.map((r) => ({ ...r, shadow: true, variant: 'frozen' })));
      await house.answered(others.map((r) => ({ ...r, background: true })));
      await house.answered(others.map((r) => ({ ...r, answer: null, error: 'DeadlineExceeded' })));
      assert.deepEqual((await run(data.checkData, input)).problems, []);
    });

    it('drops a slice and keeps the rest, with the cursor', async () => {
      const { plan, dataset } = await poison(({ source }) => source === 'web');
      const left = await run(data.dropData, { plan, dataset, slice: 'source=web' });
      assert.equal(left.newRows, 200 - 66);
      const [after, before] = [await house.dataset(left.dataset), await house.dataset(dataset)];
      assert.deepEqual([after.cursor, after.segments.length, after.parents], [before.cursor, 2, [dataset]]);
      for (const line of await house.lines(after.segments[1]!.rows)) assert.doesNotMatch(line, /source=web/);
      assert.deepEqual((await run(data.checkData, { plan, dataset: left.dataset })).problems, []);
      assert.deepEqual(await run(data.dropData, { plan, dataset, slice: 'source=web' }), left, 'twice is once');
    });

    it('drops all that is new', async () => {
      const { plan, dataset } = await poison(() => true);
      const left = await run(data.dropData, { plan, dataset, slice: null });
      assert.deepEqual([left.newRows, left.rowCount], [0, 40]);
      const after = await house.dataset(left.dataset);
      assert.deepEqual([after.cursor, after.segments.length], ['240', 1]);
    });

    it('refuses to drop a slice that no row is in, rather than to train on what should go', async () => {
      const { plan, dataset } = await poison(({ source }) => source === 'web');
      await assert.rejects(
        run(data.dropData, { plan, dataset, slice: 'source=wbe' }),
        failure('InvalidInput', 'slice "source=wbe": none of the 200 new rows is in it'),
      );
    });
  });
});
