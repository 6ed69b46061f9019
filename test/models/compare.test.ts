import assert from 'node:assert/strict';
import { compareModels } from '../../src/models/compare.ts';
import { getManifest, putManifest } from '../../src/store/manifests.ts';
import { Registry, rowsOf, scoreHere } from './registry.ts';

describe('models compare', function () {
  this.timeout(60_000);
  let registry: Registry;
  let [good, poor] = ['', ''] as unknown as [`sha256:${string}`, `sha256:${string}`];
  const run = (changes: Partial<Parameters<typeof compareModels>[0]> = {}) =>
    compareModels({
      ...{ store: registry.store, a: good, b: poor, dataset: registry.dataset!.manifest, rows: 500 },
      ...{ metrics: ['accuracy', 'falsePositiveRate'], list: 3, withFeatures: false, score: scoreHere },
      ...{ signal: new AbortController().signal, ...changes },
    });

  before(async () => {
    registry = await Registry.open();
    await registry.deliver(rowsOf('2002-07-10', 300));
    good = await registry.train(0);
    // Says spam only above 0.4: what lies between is missed.
    poor = await registry.train(0.4, { cycle: 2 });
  });
  after(() => registry.close());

  it('gives the paired difference with its interval, overall and by slice', async () => {
    const { differences, rows, mcnemar, disagreeing, trainedOn } = await run();
    assert.deepEqual(
      differences.map(({ metric, slice }) => `${metric} ${slice}`),
      ['accuracy', 'falsePositiveRate'].flatMap((m) => ['overall', 'half=0', 'half=1'].map((s) => `${m} ${s}`)),
    );
    const [accuracy, half0, half1, falsePositives] = differences;
    assert.equal(accuracy!.a, 1);
    assert.ok(
      Math.abs(accuracy!.difference! - disagreeing / rows) < 1e-9,
      'every disagreement is a miss of the second',
    );
    assert.ok(
      accuracy!.lower! > 0 && accuracy!.lower! < accuracy!.difference! && accuracy!.upper! > accuracy!.difference!,
    );
    assert.equal(half0!.rows + half1!.rows, rows);
    // Neither calls ham spam.
    assert.deepEqual([falsePositives!.a, falsePositives!.b, falsePositives!.difference], [0, 0, 0]);
    assert.ok(mcnemar! < 1e-6);
    assert.deepEqual(trainedOn, { a: 0, b: 0 });
  });

  it('the other way round it is the same with the sign changed', async () => {
    const [[one], [other]] = [(await run()).differences, (await run({ a: poor, b: good })).differences];
    assert.ok(Math.abs(one!.difference! + other!.difference!) < 1e-9);
    assert.ok(Math.abs(one!.lower! + other!.upper!) < 1e-6);
  });

  it('lists rows on which they disagree by id; what is in them only when it is asked for', async () => {
    const quiet = await run();
    assert.equal(quiet.disagreements.length, 3);
    for (const row of quiet.disagreements) {
      assert.deepEqual([row.label, row.a, row.b], ['spam', 'spam', 'ham']);
      assert.equal('features' in row, false);
    }
    const [told] = (await run({ withFeatures: true, list: 1 })).disagreements;
    assert.ok(Number(told!.features!.x) > 0 && Number(told!.features!.x) < 0.4);
  });

  it('refuses models that tell different things, and says which one cannot be scored', async () => {
    const manifest = await getManifest(registry.store, good, 'Model');
    const mirrored = await putManifest(registry.store, {
      ...manifest,
      signature: { ...manifest.signature, labels: ['spam', 'ham'] },
    });
    await assert.rejects(run({ b: mirrored }), /one is for binary-classification \(spam\), the other for .* \(ham\)/);
    const score: typeof scoreHere = async () => ({ problem: 'ModelNotServable: no graph' });
    await assert.rejects(run({ score }), new RegExp(`${good} cannot be scored: ModelNotServable`));
  });
});
