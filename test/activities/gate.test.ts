import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createEvaluateActivities } from '../../src/activities/evaluate.ts';
import { createGateActivities } from '../../src/activities/gate.ts';
import { ModelFolders } from '../../src/activities/model-folders.ts';
import { createQuantizeActivities } from '../../src/activities/quantize.ts';
import { replayVerdict } from '../../src/client/replay-verdict.ts';
import type {
  CyclePlan,
  EvaluateActivities,
  GateActivities,
  QuantizeActivities,
} from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { getManifest, putManifest } from '../../src/store/manifests.ts';
import { constantModel, linearModel, nanModel, numericGraph, slowModel } from '../serving/models.ts';
import { type FileChanges, failure, House, quiet, run, type TestRow } from './house.ts';

/** x > 0 is spam, on all rows but every twentieth; the slice says which half of the corpus a row is of. */
const numericRow = (n: number) => {
  const x = ((n * 37) % 101) - 50 || 1;
  const isSpam = n % 20 === 0 ? x <= 0 : x > 0;
  return JSON.stringify({
    id: `row-${String(n).padStart(4, '0')}`,
    at: new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString(),
    kind: isSpam ? 'spam' : 'ham',
    x: x / 10,
    y: (n % 7) / 7,
    source: n % 2 === 0 ? 'web' : 'mail',
  } satisfies Omit<TestRow, 'text'> & { x: number; y: number });
};

/** P(spam) rises with x, as one wide layer of weights that int8 makes a quarter of. */
function wideModel(scale = 1): Uint8Array {
  return numericGraph((graph, input) => {
    const width = 1_024;
    const spread = new Float32Array(2 * width).map((_, i) => (i < width ? scale * (1 + (i % 7)) : 0));
    const gather = new Float32Array(width * 2).map((_, i) => (i % 2 === 1 ? (1 + (i % 5)) / width : 0));
    const hidden = graph.matMul(input, graph.initializer('in', 'float32', [2, width], spread));
    return graph.softmax(graph.matMul(hidden, graph.initializer('out', 'float32', [width, 2], gather)));
  });
}

interface Contest {
  plan: CyclePlan;
  dataset: Digest;
  rows: Digest;
}

describe('evaluation, int8 and gate', () => {
  let house: House;
  let evaluate: EvaluateActivities;
  let quantize: QuantizeActivities;
  let gate: GateActivities;
  /** The cycle of most tests: an evaluation that one of them has made is there for the others. */
  let usual: Contest;
  const models: Record<'good' | 'wide' | 'blind' | 'garbage' | 'nan', Digest> = {} as typeof models;

  before(async () => {
    house = await House.open();
    const { store } = house;
    const folders = new ModelFolders(store, join(house.folder, 'models-cache'));
    evaluate = createEvaluateActivities({ store, models: folders });
    quantize = createQuantizeActivities({ store, models: folders, smallest: 0 });
    gate = createGateActivities({ store });
    await house.deliver(...Array.from({ length: 600 }, (_, n) => numericRow(n)));
    usual = await begin(1, { quantize: { int8: 'dynamic', margin: '2pt' } });
    models.good = await house.model(linearModel({ wx: 4 }));
    models.wide = await house.model(wideModel());
    models.blind = await house.model(constantModel(0.4));
    models.garbage = await house.model(Buffer.from('garbage'));
    models.nan = await house.model(nanModel());
  });
  after(() => house.close());

  const begin = async (n: number, changes: FileChanges = {}, newest = 400): Promise<Contest> => {
    const spec = await house.apply({
      ...changes,
      data: {
        columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
        holdout: { share: '60%', newest },
      },
    });
    const { plan, dataset } = await house.snapshotAndAccept(spec, n);
    return { plan, dataset, rows: (await run(evaluate.selectHoldout, { plan, dataset })).rows };
  };
  const evaluated = async (model: Digest, contest = usual) => ({
    model,
    ...(await run(evaluate.evaluateModel, { ...contest, model })),
  });
  const judged = async (
    contestants: { candidate: Digest; int8?: Digest; champion?: Digest; anchor?: Digest },
    contest = usual,
  ) => {
    const opened = async (model: Digest | undefined) => (model ? await evaluated(model, contest) : null);
    const { candidate, int8, champion, anchor } = contestants;
    return {
      plan: contest.plan,
      candidate: await evaluated(candidate, contest),
      int8: await opened(int8),
      champion: await opened(champion),
      anchor: await opened(anchor),
    };
  };

  it('selects the newest hold-out rows, the same for everybody', async () => {
    const { plan, dataset } = usual;
    const newest50 = { plan: { ...plan, holdoutNewest: 50 }, dataset };
    const { rows, rowCount } = await run(evaluate.selectHoldout, newest50);
    assert.equal(rowCount, 50);
    assert.deepEqual(await run(evaluate.selectHoldout, newest50), { rows, rowCount });
    const idsOf = async (digest: Digest) =>
      (await house.lines(digest)).map((line) => (JSON.parse(line) as { id: string }).id);
    const [segment] = (await house.dataset(dataset)).segments;
    assert.deepEqual(await idsOf(rows), (await idsOf(segment!.holdout)).sort().slice(-50));
    assert.ok((await idsOf(usual.rows)).length > 300);
  });

  it('scores every row, with metrics, slices and latency, once', async () => {
    const { evaluation: digest, servable, summary } = await evaluated(models.good);
    const evaluation = await getManifest(house.store, digest, 'Evaluation');
    const { rowCount } = evaluation;
    const outcomes = (await house.lines(evaluation.outcomes as Digest)).map(
      (line) => JSON.parse(line) as { id: string; label: string; predicted: string; slices: string[] },
    );
    assert.equal(outcomes.length, rowCount);
    const wrong = outcomes.filter(({ label, predicted }) => label !== predicted);
    assert.ok(wrong.every(({ id }) => Number(id.slice(4)) % 20 === 0));
    assert.equal(summary.accuracy, Number((1 - wrong.length / rowCount).toPrecision(12)));
    assert.deepEqual(Object.keys(evaluation.slices).sort(), ['source=mail', 'source=web']);
    assert.ok(servable && evaluation.latency.samples === 300 && evaluation.latency.p99Ms > 0);
    assert.deepEqual(evaluation.parents, [models.good, usual.dataset]);
    // Latency is never the same twice, so equal digests mean that nothing was measured again.
    assert.equal((await evaluated(models.good)).evaluation, digest);
  });

  for (const [what, name] of [
    ['is no ONNX', 'garbage'],
    ['answers some of the rows with NaN', 'nan'],
  ] as const)
    it(`says of a model that ${what} that it is not servable, and the gate fails it`, async () => {
      const input = await judged({ candidate: models[name], champion: models.good });
      assert.equal(input.candidate.servable, false);
      const { result, verdict } = await run(gate.decideGate, input);
      assert.equal(result, 'fail');
      assert.ok((await replayVerdict(house.store, verdict)).equal);
    });

  it('is cancelled while it scores', async () => {
    const env = new MockActivityEnvironment({}, { logger: quiet });
    const scores = new Promise<void>((resolve) => {
      env.on('heartbeat', (details: { done?: number } | undefined) => details?.done && resolve());
    });
    const model = await house.model(linearModel({ wx: 3 }));
    const scoring = env.run(evaluate.evaluateModel, { ...usual, model });
    await scores;
    env.cancel();
    await assert.rejects(scoring, /CANCELLED/i);
  });

  it('has nothing to score without rows, and the verdict does not pass', async () => {
    const nothing = { ...usual, rows: await house.store.blobs.put(Buffer.from('')) };
    const input = await judged({ candidate: models.good }, nothing);
    assert.equal(input.candidate.servable, true);
    assert.equal((await run(gate.decideGate, input)).result, 'inconclusive');
  });

  it('quantizes in a process of its own; signature and lineage stay', async () => {
    const { plan } = usual;
    const made = await run(quantize.quantizeModel, { plan, model: models.wide });
    assert.deepEqual([made.quantized, made.skipped], [2, 0]);
    assert.ok(made.sizeBytes < made.sizeBefore);
    const int8 = await getManifest(house.store, made.model, 'Model');
    assert.deepEqual([int8.precision, int8.run, int8.parents], ['int8', models.wide, [models.wide]]);
    assert.deepEqual(int8.signature, (await getManifest(house.store, models.wide, 'Model')).signature);
    assert.deepEqual(await run(quantize.quantizeModel, { plan, model: models.wide }), made, 'twice is once');
  });

  it('gives a model back as it is when nothing in it can be quantized, or nothing understood', async () => {
    for (const model of [models.nan, models.garbage]) {
      const same = await run(quantize.quantizeModel, { plan: usual.plan, model });
      assert.deepEqual([same.model, same.quantized], [model, 0]);
    }
  });

  it('ships int8 when it holds, and says so', async () => {
    const { model: int8 } = await run(quantize.quantizeModel, { plan: usual.plan, model: models.wide });
    const input = await judged({ candidate: models.wide, int8, champion: models.good, anchor: models.good });
    const decided = await run(gate.decideGate, input);
    assert.deepEqual([decided.result, decided.precision, decided.candidate], ['pass', 'int8', int8]);
    assert.match(decided.reasons.at(-1)!, /^int8 holds: /);
    assert.match(decided.summary[0]!.join(' '), /^accuracy 0\.9\d+ \[0\.\d+, 0\.\d+\] 0\.9/);
    const verdict = await getManifest(house.store, decided.verdict, 'Verdict');
    assert.deepEqual([verdict.candidate, verdict.champion, verdict.evaluations.length], [int8, models.good, 3]);
    const replayed = await replayVerdict(house.store, decided.verdict);
    assert.deepEqual(replayed.recomputed, verdict.verdict);
    assert.ok(replayed.equal);
    assert.deepEqual(await run(gate.decideGate, input), decided, 'twice is once');
  });

  it('keeps fp32 when int8 was scored with other sums than it was made for', async () => {
    const { model } = await run(quantize.quantizeModel, { plan: usual.plan, model: models.wide });
    const made = await getManifest(house.store, model, 'Model');
    assert.ok(made.quantization!.x64QuantPrecision);
    const saturating = { instructionSet: 'x64-avx2', weightBits: 8, x64QuantPrecision: false } as const;
    const elsewhere = await putManifest(house.store, { ...made, quantization: saturating });
    const { evaluation } = await evaluated(elsewhere);
    assert.ok((await getManifest(house.store, evaluation, 'Evaluation')).arithmetic?.x64QuantPrecision);
    const decided = await run(gate.decideGate, await judged({ candidate: models.wide, int8: elsewhere }));
    assert.deepEqual([decided.precision, decided.candidate], ['fp32', models.wide]);
    assert.match(decided.reasons.at(-1)!, /^int8 does not count: .* saturating sums.*judge it on the CPU that serves/);
  });

  it('keeps fp32 when int8 loses more than its margin', async () => {
    const decided = await run(gate.decideGate, await judged({ candidate: models.good, int8: models.blind }));
    assert.deepEqual([decided.result, decided.precision, decided.candidate], ['pass', 'fp32', models.good]);
  });

  it('without a champion the floor decides, and the verdict says so', async () => {
    const decided = await run(gate.decideGate, await judged({ candidate: models.good }));
    assert.equal(decided.result, 'pass');
    const { verdict } = await getManifest(house.store, decided.verdict, 'Verdict');
    assert.ok(verdict.withoutChampion);
    assert.match(verdict.reasons.join(' '), /no champion/i);
    assert.equal(decided.summary[0]![2], '–');
  });

  it('fails what is worse than the champion, and is inconclusive on too few rows', async () => {
    const worse = await judged({ candidate: models.blind, champion: models.good });
    assert.equal((await run(gate.decideGate, worse)).result, 'fail');
    const few = await begin(2, {}, 30);
    const decided = await run(gate.decideGate, await judged({ candidate: models.wide, champion: models.good }, few));
    assert.equal(decided.result, 'inconclusive');
    assert.ok(decided.rowsNeeded === null || decided.rowsNeeded > 30);
  });

  it('does not guess about a champion that cannot be scored: it stays, and the verdict says why', async () => {
    const contestants = { candidate: models.good, champion: models.garbage };
    const decided = await run(gate.decideGate, await judged(contestants));
    assert.equal(decided.result, 'inconclusive');
    assert.match(
      decided.reasons[0]!,
      /^accuracy against the champion cannot be judged: the champion cannot be scored: ModelNotServable/,
    );
    assert.ok((await replayVerdict(house.store, decided.verdict)).equal);
    const alone = await begin(1, { gate: { against: [], metrics: [{ metric: 'accuracy', floor: 0.6 }] } });
    assert.equal((await run(gate.decideGate, await judged(contestants, alone))).result, 'pass');
  });

  it('goes on when the bytes of the champion are gone, and does not pass', async () => {
    const lost = await house.model(linearModel({ wx: 2, bias: 1 }));
    const { files } = await getManifest(house.store, lost, 'Model');
    const hex = files.find(({ path }) => path === 'model.onnx')!.digest.slice('sha256:'.length);
    await rm(join(house.folder, 'store', 'blobs', hex.slice(0, 2), hex));
    await house.crown(lost);
    const contest = await begin(9);
    assert.equal(contest.plan.champion?.digest, lost);
    const decided = await run(gate.decideGate, await judged({ candidate: models.good, champion: lost }, contest));
    assert.equal(decided.result, 'inconclusive');
    assert.match(decided.reasons[0]!, /the champion cannot be scored: NotFound: /);
    await assert.rejects(evaluated(lost), failure('NotFound'), 'of a candidate it is trouble with the store');
  });

  it('measures latency in turns with the champion, in one process, and replays the verdict', async () => {
    const fast = await house.model(linearModel({ wx: 5 }));
    await house.crown(fast);
    const metrics = [{ metric: 'latencyP50', worseBy: '100%' }];
    const contest = await begin(10, { gate: { metrics } });
    assert.equal(contest.plan.champion?.digest, fast);
    const same = await run(gate.decideGate, await judged({ candidate: models.good, champion: fast }, contest));
    assert.equal(same.result, 'pass', same.reasons.join(' '));
    const { evaluation } = await evaluated(models.good, contest);
    const [inTurns] = (await getManifest(house.store, evaluation, 'Evaluation')).latencyAgainst!;
    assert.deepEqual([inTurns!.other, inTurns!.blocks.length, inTurns!.rowsPerBlock], [fast, 12, 20]);
    assert.ok((await replayVerdict(house.store, same.verdict)).equal);
    const slow = await house.model(slowModel(0.4));
    const slower = await run(gate.decideGate, await judged({ candidate: slow, champion: fast }, contest));
    assert.equal(slower.result, 'fail');
    assert.match(slower.reasons[0]!, /^latencyP50 against the champion fails: .*240 samples/);
  }).timeout(60_000);
});
