import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createEvaluateActivities } from '../../src/activities/evaluate.ts';
import { createGateActivities } from '../../src/activities/gate.ts';
import { ModelFolders } from '../../src/activities/model-folders.ts';
import { FileList } from '../../src/activities/train.ts';
import { replayVerdict } from '../../src/client/replay-verdict.ts';
import type { CyclePlan, EvaluateActivities, EvaluationRun, GateActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { JobSpec } from '../../src/contracts/job.ts';
import type { ModelSignature } from '../../src/contracts/model.ts';
import { refNames } from '../../src/contracts/names.ts';
import { getJson, getManifest, putJson } from '../../src/store/manifests.ts';
import { numericGraph } from '../serving/models.ts';
import { collect } from '../store/samples.ts';
import { type FileChanges, failure, House, run } from './house.ts';

const signature: ModelSignature = {
  schema: 'goto3/signature/v1',
  task: 'regression',
  preprocessing: { kind: 'numeric', features: ['x', 'y'] },
  labels: [],
  output: 'value',
};
/** slope·x + bias. */
const line = (slope: number, bias: number): Uint8Array =>
  numericGraph(
    (graph, input) =>
      graph.gemm(
        input,
        graph.initializer('slope', 'float32', [2, 1], new Float32Array([slope, 0])),
        graph.initializer('bias', 'float32', [1], new Float32Array([bias])),
      ),
    { output: 'value', classes: 1 },
  );
/** The truth is 3·x + 1, and noise that repeats every seven rows. */
const numericRow = (n: number): string => {
  const x = ((n * 37) % 101) / 10;
  return JSON.stringify({
    id: `row-${String(n).padStart(4, '0')}`,
    at: new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString(),
    kind: 3 * x + 1 + ((n % 7) - 3) / 10,
    x,
    y: n / 1_000,
    source: n % 2 === 0 ? 'web' : 'mail',
  });
};

const changes: FileChanges = {
  data: {
    task: 'regression',
    columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
    holdout: { share: '60%', newest: 300 },
  },
  evaluate: { program: ['node', 'evaluate.mjs'], hyperparameters: { quantile: 0.9 } },
  gate: {
    metrics: [
      { metric: 'pinball', direction: 'lower', ceiling: 1, margin: 0.05, slices: ['source'], minRows: 50 },
      { metric: 'rmsLog', value: 'squaredLog', aggregate: 'rootMean', direction: 'lower', ceiling: 1 },
      { metric: 'rmse', ceiling: 0.5, worseBy: '10%' },
      { metric: 'r2', floor: 0.9 },
    ],
  },
  quantize: { int8: 'dynamic', worseBy: '5%' },
  rollout: 'none',
};

describe('evaluation program', () => {
  let house: House;
  let evaluate: EvaluateActivities;
  let gate: GateActivities;
  let plan: CyclePlan;
  let dataset: Digest;
  let rows: Digest;
  let ids: string[];
  let good: Digest;

  before(async () => {
    house = await House.open();
    const { store } = house;
    const models = new ModelFolders(store, join(house.folder, 'models-cache'));
    evaluate = createEvaluateActivities({ store, models });
    gate = createGateActivities({ store });
    await house.deliver(...Array.from({ length: 600 }, (_, n) => numericRow(n)));
    await house.write('evaluate.mjs', '// version 1');
    ({ plan, dataset } = await house.snapshotAndAccept(await house.apply(changes)));
    ({ rows } = await run(evaluate.selectHoldout, { plan, dataset }));
    ids = (await house.lines(rows)).map((text) => (JSON.parse(text) as { id: string }).id);
    good = await house.model(line(3, 1), signature);
  });
  after(() => house.close());

  const left = async (files: Record<string, string | object[]>): Promise<EvaluationRun> => {
    const list = [];
    for (const [path, content] of Object.entries(files)) {
      const text = typeof content === 'string' ? content : content.map((one) => `${JSON.stringify(one)}\n`).join('');
      const digest = await house.store.blobs.put(Readable.from([Buffer.from(text)]));
      list.push({ path, digest, sizeBytes: Buffer.byteLength(text) });
    }
    const output = await putJson(house.store, FileList, list);
    return { job: 'spam/1/evaluate/abc/1', jobSpec: dataset, output, lastLines: 'scored all\nbye' };
  };
  const outcomes = (pinball = 0.5) => ids.map((id) => ({ id, pinball, squaredLog: 0.04, late: id.endsWith('7') }));
  const score = async (program: EvaluationRun | { problem: string }, model = good) => ({
    model,
    ...(await run(evaluate.evaluateModel, { plan, model, dataset, rows, program })),
  });

  it('is a job: model and hold-out as channels, a key that names model, rows and program', async () => {
    const prepare = async (model: Digest) => await run(evaluate.prepareEvaluation, { plan, model, rows });
    const first = await prepare(good);
    assert.deepEqual(await prepare(good), first, 'twice is once');
    assert.match(first.key, /^spam\/1\/evaluate\/[0-9a-f]{16}$/);
    const spec = await getJson(house.store, JobSpec, first.specDigest);
    assert.deepEqual(spec.program, ['node', 'evaluate.mjs']);
    assert.deepEqual(spec.channels.model!.map(({ path }) => path).sort(), ['model.onnx', 'signature.json']);
    assert.deepEqual(
      spec.channels.holdout!.map(({ path, digest }) => [path, digest]),
      [['rows.jsonl', rows]],
    );
    assert.deepEqual([spec.hyperparameters, spec.expects], [{ quantile: '0.9' }, 'output']);
    const other = await prepare(await house.model(line(3, 2), signature));
    assert.notEqual(other.key, first.key);
    await house.write('evaluate.mjs', '// version 2');
    assert.notEqual((await prepare(good)).key, first.key, 'a program that was repaired runs anew');
  });

  it('gives the gate its numbers, beside those that goto3 has', async () => {
    const champion = await score(
      await left({ 'outcomes.jsonl': outcomes(), 'metrics.json': '{"pinball": 0.5, "coverage": 0.9}' }),
    );
    assert.ok(champion.servable);
    const evaluation = await getManifest(house.store, champion.evaluation, 'Evaluation');
    assert.deepEqual(evaluation.metrics.coverage, { value: 0.9, lower: null, upper: null, rows: ids.length });
    assert.equal(evaluation.metrics.rmsLog!.value, 0.2);
    assert.ok(evaluation.metrics.rmse!.value! < 0.25 && evaluation.metrics.r2!.value! > 0.99);
    assert.equal(evaluation.slices['source=web']!.pinball!.value, 0.5);
    assert.equal(evaluation.program?.job, 'spam/1/evaluate/abc/1');

    const decide = async (pinball: number) => {
      const candidate = await score(
        await left({ 'outcomes.jsonl': outcomes(pinball) }),
        await house.model(line(3, 1.01), signature),
      );
      return await run(gate.decideGate, { plan, candidate, int8: null, champion, anchor: null });
    };
    const passed = await decide(0.52);
    assert.equal(passed.result, 'pass', passed.reasons.join(' '));
    assert.deepEqual(passed.summary[0], ['pinball', '0.5200 [0.5200, 0.5200]', '0.5000 [0.5000, 0.5000]']);
    assert.ok((await replayVerdict(house.store, passed.verdict)).equal);
    const failed = await decide(0.6);
    assert.equal(failed.result, 'fail');
    assert.match(
      failed.reasons[0]!,
      /^pinball.* against the champion fails: -0\.1, at most -0\.1 with 95 % confidence, -0\.05 is allowed/,
    );
    assert.ok((await replayVerdict(house.store, failed.verdict)).equal);
  });

  it('ships int8 of a regression model when its error holds', async () => {
    const program = await left({ 'outcomes.jsonl': outcomes() });
    const candidate = await score(program);
    const decide = async (int8: Uint8Array) =>
      await run(gate.decideGate, {
        plan,
        candidate,
        int8: await score(program, await house.model(int8, signature)),
        champion: null,
        anchor: null,
      });
    const close = await decide(line(3, 1.002));
    assert.deepEqual([close.result, close.precision], ['pass', 'int8']);
    assert.match(close.reasons.at(-1)!, /^int8 holds: .* in rmse against fp32/);
    const far = await decide(line(3.05, 1));
    assert.deepEqual([far.result, far.precision], ['pass', 'fp32']);
    assert.match(far.reasons.at(-1)!, /^int8 may lose too much: .* in rmse/);
  });

  const half = (): object[] =>
    outcomes().map(({ id, pinball, squaredLog }, i) => (i === 3 ? { id, pinball } : { id, pinball, squaredLog }));
  const refusals: [what: string, files: () => Record<string, string | object[]>, problem: string][] = [
    ['no outcomes', () => ({ 'other.txt': 'x' }), 'outcomes.jsonl: expected in SM_OUTPUT_DATA_DIR, it is missing'],
    ['an empty file', () => ({ 'outcomes.jsonl': '' }), 'rows are missing, the first one is "row-'],
    ['rubbish', () => ({ 'outcomes.jsonl': 'loading…\n' }), 'outcomes.jsonl, line 1: expected a JSON object'],
    ['a list', () => ({ 'outcomes.jsonl': [[1, 2]] }), 'outcomes.jsonl, line 1: expected a JSON object'],
    [
      'NaN, as Python writes it',
      () => ({ 'outcomes.jsonl': `{"id": "${ids[0]}", "pinball": NaN}\n` }),
      'line 1: expected a JSON object (NaN and Infinity are none)',
    ],
    [
      'null',
      () => ({ 'outcomes.jsonl': [{ id: ids[0], pinball: null }] }),
      'line 1: pinball: expected a finite number',
    ],
    [
      'what no double holds',
      () => ({ 'outcomes.jsonl': `{"id": "${ids[0]}", "pinball": 1e400}\n` }),
      'line 1: pinball: expected a finite number',
    ],
    [
      'a number as text',
      () => ({ 'outcomes.jsonl': [{ id: ids[0], pinball: '0.5' }] }),
      'line 1: pinball: expected a finite number',
    ],
    ['half a row', () => ({ 'outcomes.jsonl': half() }), 'line 4: squaredLog: missing; the rows before have it'],
    [
      'a row with more than the others',
      () => ({ 'outcomes.jsonl': outcomes().map((o, i) => (i === 2 ? { ...o, extra: 1 } : o)) }),
      'line 3: extra: the rows before have no such number',
    ],
    [
      'a row that ends in the middle',
      () => ({ 'outcomes.jsonl': `{"id": "${ids[0]}", "pin` }),
      'line 1: expected a JSON object',
    ],
    ['a row twice', () => ({ 'outcomes.jsonl': [...outcomes(), outcomes()[5]!] }), 'comes twice'],
    ['all but one', () => ({ 'outcomes.jsonl': outcomes().slice(1) }), 'outcomes.jsonl: 1 of '],
    [
      "a row of somebody else's",
      () => ({ 'outcomes.jsonl': [{ id: 'row-x', pinball: 1 }] }),
      'line 1: id: "row-x" is no row of the hold-out',
    ],
    [
      'a row without a number',
      () => ({ 'outcomes.jsonl': [{ id: ids[0] }] }),
      'expected at least one number beside id',
    ],
    ['a number as the id', () => ({ 'outcomes.jsonl': [{ id: 7, pinball: 1 }] }), 'line 1: id: expected text'],
    [
      'a line that never ends',
      () => ({ 'outcomes.jsonl': `{"id": "${'x'.repeat(70_000)}` }),
      'line 1 is longer than 65536 bytes',
    ],
    [
      'a prototype',
      () => ({ 'outcomes.jsonl': `{"id": "${ids[0]}", "__proto__": 1}\n` }),
      'expected names of letters, digits',
    ],
    [
      'a sum that its rows do not give',
      () => ({ 'outcomes.jsonl': outcomes(), 'metrics.json': '{"pinball": 0.4}' }),
      'metrics.json: pinball is 0.4, and its rows give 0.5',
    ],
    [
      'a sum that is no number',
      () => ({ 'outcomes.jsonl': outcomes(), 'metrics.json': '{"pinball": "low"}' }),
      'metrics.json: pinball: expected a finite number',
    ],
    [
      'a sum that is no JSON',
      () => ({ 'outcomes.jsonl': outcomes(), 'metrics.json': 'pinball=0.5' }),
      'metrics.json: expected a JSON object',
    ],
  ];
  for (const [what, files, problem] of refusals)
    it(`refuses ${what}, with the program's last lines`, async () => {
      const pins = async () => (await collect(house.store.refs.history(refNames.pin('spam', 1)))).length;
      const before = await pins();
      await assert.rejects(
        async () => score(await left(files())),
        failure('BadEvaluation', problem, 'its last lines: scored all\nbye', 'spam/1/evaluate/abc/1'),
      );
      assert.equal(await pins(), before);
    });

  it('that leaves other numbers than the gate asks for decides nothing', async () => {
    const other = ids.map((id) => ({ id, somethingElse: 1 }));
    const candidate = await score(await left({ 'outcomes.jsonl': other }), await house.model(line(3, 1.1), signature));
    const decided = await run(gate.decideGate, { plan, candidate, int8: null, champion: null, anchor: null });
    assert.equal(decided.result, 'inconclusive');
    assert.match(decided.reasons.join(' '), /pinball cannot be judged: it is not defined on these rows/);
  });

  it('that fails on a model says so of it: a champion is not compared with, a candidate does not pass', async () => {
    const broken = await score(
      { problem: 'userError: exit code 1: KeyError' },
      await house.model(line(3, 0.9), signature),
    );
    assert.equal(broken.servable, false);
    const candidate = await score(await left({ 'outcomes.jsonl': outcomes() }));
    const against = await run(gate.decideGate, { plan, candidate, int8: null, champion: broken, anchor: null });
    assert.equal(against.result, 'inconclusive');
    assert.match(
      against.reasons[0]!,
      /the champion cannot be scored: the evaluation program failed on it: userError: exit code 1/,
    );
    const alone = await run(gate.decideGate, { plan, candidate: broken, int8: null, champion: null, anchor: null });
    assert.equal(alone.result, 'fail');
  });
});
