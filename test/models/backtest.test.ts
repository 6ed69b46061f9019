import assert from 'node:assert/strict';
import { writeSegment } from '../../src/activities/data/segment.ts';
import { type Backtest, backtest } from '../../src/models/backtest.ts';
import { matrixOf } from '../../src/models/matrix.ts';
import { matrixSvg } from '../../src/models/matrix-svg.ts';
import { periodOf } from '../../src/models/periods.ts';
import { scoreModel } from '../../src/models/score-model.ts';
import { collect } from '../store/samples.ts';
import { model, Registry, rowsOf, scoreHere } from './registry.ts';

const standings = ({ versions }: Backtest) => versions.map(({ cells }) => cells.map((cell) => cell?.standing ?? null));

describe('models backtest', function () {
  this.timeout(60_000);
  let registry: Registry;
  const run = (changes: Partial<Parameters<typeof backtest>[0]> = {}) =>
    backtest({
      ...{ store: registry.store, model, dataset: registry.dataset!, by: 'month', rowsPerPeriod: 2_000 },
      ...{ signal: new AbortController().signal, who: 'ann', score: scoreHere, ...changes },
    });

  before(async () => {
    registry = await Registry.open();
    await registry.deliver(rowsOf('2002-07-10', 60));
    await registry.approve(await registry.train(0.5));
    await registry.deliver(rowsOf('2002-08-10', 60));
    await registry.approve(await registry.train(0, { cycle: 2 }));
  });
  after(() => registry.close());

  it('scores every version on every period, and says which scores a version could have had in use', async () => {
    const first = await run();
    assert.deepEqual(
      first.periods.map(({ name }) => name),
      ['2002-07', '2002-08'],
    );
    assert.deepEqual(standings(first), [
      ['trainedAfter', 'ahead'],
      ['trainedAfter', 'trainedAfter'],
    ]);
    assert.deepEqual([first.computed, first.reused], [4, 0]);
    // Version 2 draws its line where the labels do; version 1 misses what lies between 0 and 0.5.
    assert.equal(first.versions[1]!.cells[1]!.metrics.accuracy!.value, 1);
    assert.ok(first.versions[0]!.cells[1]!.metrics.accuracy!.value! < 0.9);
    assert.equal(first.versions[0]!.cells[1]!.rows, first.periods[1]!.heldOut);
  });

  it('computes new cells alone, and the same cells whoever asks', async () => {
    const again = await run();
    assert.deepEqual([again.computed, again.reused], [0, 4]);
    await registry.deliver(rowsOf('2002-09-10', 60));
    const more = await run();
    assert.deepEqual([more.computed, more.reused], [2, 4]);
    assert.deepEqual(more.versions[0]!.cells.slice(0, 2), again.versions[0]!.cells);
    await registry.approve(await registry.train(0.1, { cycle: 3 }));
    const third = await run();
    assert.deepEqual([third.computed, third.reused], [3, 6]);
    assert.equal((await collect(registry.store.refs.list('backtests/'))).length, 3, 'one ref a model, not one a cell');
  });

  it('two backtests at once lose no cell', async () => {
    const results = await Promise.all([run({ rowsPerPeriod: 11 }), run({ rowsPerPeriod: 13 })]);
    assert.deepEqual(
      results.map(({ computed }) => computed),
      [9, 9],
    );
    const [a, b] = [await run({ rowsPerPeriod: 11 }), await run({ rowsPerPeriod: 13 })];
    assert.deepEqual([a.reused, b.reused], [9, 9]);
    assert.ok(a.periods.every(({ rows, heldOut }) => rows === 11 && heldOut > 11));
  });

  it('marks a cell whose rows the version was trained on: the share was raised since, also through a warm start', async () => {
    const raised = await Registry.open('raised');
    try {
      const july = rowsOf('2002-07-10', 60);
      await raised.deliver(july, 0.2);
      const first = await raised.train(0);
      await raised.approve(first);
      // The loop now holds out half of all rows: some of them were training rows of version 1.
      const parted = await writeSegment(raised.store, { holdoutShare: 0.5, task: 'classification' }, async (add) => {
        for (const row of july) await add(row);
        return { schemaErrors: {}, redelivered: 0 };
      });
      await raised.accept({ segments: [parted!], holdoutShare: 0.5, parents: [] });
      await raised.approve(await raised.train(0, { cycle: 2 }));
      await raised.approve(await raised.train(0, { cycle: 3, warmStart: first }));
      const { versions } = await run({ store: raised.store, dataset: raised.dataset! });
      const [one, fresh, warm] = versions.map(({ cells }) => cells[0]!);
      assert.deepEqual([one!.standing, fresh!.standing, warm!.standing], ['trainedOn', 'trainedAfter', 'trainedOn']);
      assert.ok(one!.trainedOn! > 5 && one!.trainedOn! < one!.rows, String(one!.trainedOn));
      assert.deepEqual([fresh!.trainedOn, warm!.trainedOn], [0, one!.trainedOn]);
    } finally {
      await raised.close();
    }
  });

  it('a model that cannot be loaded has a reason and no cells; the others have theirs', async () => {
    const broken = await Registry.open('broken');
    try {
      await broken.deliver(rowsOf('2002-07-10', 40));
      const good = await broken.approve(await broken.train(0));
      const { getManifest, putManifest } = await import('../../src/store/manifests.ts');
      const manifest = await getManifest(broken.store, good, 'Model');
      const rubbish = await broken.store.blobs.put(Buffer.from('no graph'));
      const files = manifest.files.map((file) =>
        file.path === 'model.onnx' ? { ...file, digest: rubbish, sizeBytes: 8 } : file,
      );
      await broken.approve(await putManifest(broken.store, { ...manifest, files }));
      const result = await run({ store: broken.store, dataset: broken.dataset!, score: scoreModel });
      assert.match(result.versions[1]!.problem!, /ModelNotServable: model.onnx does not load/);
      assert.deepEqual(result.versions[1]!.cells, [null]);
      assert.equal(result.versions[0]!.cells[0]!.metrics.accuracy!.value, 1);
      const again = await run({ store: broken.store, dataset: broken.dataset!, score: scoreModel, last: 1 });
      assert.match(again.versions[0]!.problem!, /ModelNotServable/, 'what may pass is tried again');
    } finally {
      await broken.close();
    }
  });

  it('the picture has every number, and says what its marks mean', async () => {
    const svg = matrixSvg(model, matrixOf(await run(), 'accuracy', false));
    assert.equal([...svg.matchAll(/class="value"/g)].length, 9);
    assert.match(svg, />v3</);
    assert.match(svg, /version 3, 2002-09: 0\.\d{4} on \d+ rows; trained with data of that time/);
    assert.match(svg, /newer than all it was trained with/);
  });

  it('periods are ISO weeks and months in UTC', () => {
    assert.equal(periodOf('2002-09-01T00:00:00.000Z', 'month'), '2002-09');
    // ISO 8601: Monday 2002-12-30 is in the first week of 2003, Sunday 2005-01-02 in the last of 2004.
    assert.equal(periodOf('2002-12-30T00:00:00.000Z', 'week'), '2003-W01');
    assert.equal(periodOf('2005-01-02T23:59:59.000Z', 'week'), '2004-W53');
    assert.equal(periodOf('2002-09-02T00:00:00.000Z', 'week'), '2002-W36');
  });

  it('names the refs of its cells by model and program', async () => {
    const [first] = await collect(registry.store.refs.list('backtests/'));
    assert.match(first!, /^backtests\/[0-9a-f]{40}$/);
  });
});
