import assert from 'node:assert/strict';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { QuantizationReport, SearchRecords } from '../../src/activities/quantize/records.ts';
import type { QuantizeActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { refNames } from '../../src/contracts/names.ts';
import { forkProgram } from '../../src/serving/program.ts';
import { getJson, getManifest } from '../../src/store/manifests.ts';
import { House, quiet } from './house.ts';
import { chainModel, quantizerOf, type SearchCase, trainedOn } from './quantize-search-house.ts';

/** x > 0 is spam; x is never so small that a rounding of the float model itself decides. */
const row = (n: number): string => {
  const x = (((n * 37) % 101) - 50 || 1) / 10;
  return JSON.stringify({
    id: `row-${String(n).padStart(4, '0')}`,
    at: new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString(),
    kind: x > 0 ? 'spam' : 'ham',
    x,
    y: (n % 7) / 7,
    source: n % 2 === 0 ? 'web' : 'mail',
  });
};

type QuantizeResult = Awaited<ReturnType<QuantizeActivities['quantizeModel']>>;

interface Beat {
  trial: number;
  keptFloat?: number;
  holds?: boolean;
}

describe('int8 search in the cycle', () => {
  let house: House;
  let dataset: Digest;
  let n = 0;

  before(async () => {
    house = await House.open();
    await house.deliver(...Array.from({ length: 400 }, (_, i) => row(i)));
  });
  after(() => house.close());

  const begin = async (spoiled: number, search: object | undefined): Promise<SearchCase> => {
    const spec = await house.apply({
      quantize: { int8: 'dynamic', margin: '3pt', ...(search && { search }) },
      data: {
        columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
        holdout: { share: '20%', newest: 100 },
      },
    });
    n += 1;
    if (n === 1) dataset = (await house.snapshotAndAccept(spec, n)).dataset;
    const plan = await house.plan(spec, n);
    const model = await trainedOn(house.store, await house.model(chainModel({ spoiled })), dataset);
    return { store: join(house.folder, 'store'), models: join(house.folder, 'models-cache'), plan, model };
  };

  const quantize = async (input: SearchCase) => {
    const { quantizeModel } = await quantizerOf(input);
    const environment = new MockActivityEnvironment({}, { logger: quiet });
    const beats: Beat[] = [];
    environment.on('heartbeat', (details?: Beat) => {
      if (details && 'trial' in details) beats.push(details);
    });
    const result: QuantizeResult = await environment.run(quantizeModel, { plan: input.plan, model: input.model });
    const measured = [...new Set(beats.flatMap(({ trial, keptFloat }) => (keptFloat === undefined ? [] : [trial])))];
    return { result, measured };
  };

  const reportOf = async (model: Digest): Promise<QuantizationReport> => {
    const { quantization } = await getManifest(house.store, model, 'Model');
    return await getJson(house.store, QuantizationReport, quantization!.report as Digest);
  };

  it('makes one trial when int8 holds at once, and measures no layer', async function () {
    this.timeout(60_000);
    const { result, measured } = await quantize(await begin(0, {}));
    assert.deepEqual([result.search, measured], [{ trials: 1, keptFloat: 0, holds: true }, [0]]);
    const report = await reportOf(result.model);
    assert.deepEqual([report.layers, report.keptFloat, report.holds], [null, [], true]);
    const { segments } = await house.dataset(dataset);
    assert.equal(report.rows, segments[0]!.trainRows, 'the training rows, none of the hold-out');
  });

  it('goes on after a kill -9 in the middle: no trial that was recorded is made again', async function () {
    this.timeout(120_000);
    const input = await begin(2, { maxTrials: 10 });
    const worker = forkProgram(new URL('./quantize-search-worker.ts', import.meta.url), house.folder);
    const died = new Promise<string | null>((resolve) => worker.once('exit', (_code, signal) => resolve(signal)));
    worker.send(input);
    const recorded = async (): Promise<number> => {
      let trials = 0;
      const pins = refNames.pin(input.plan.loop, input.plan.n);
      for await (const { reason } of house.store.refs.history(pins)) if (/^int8 trial /.test(reason)) trials += 1;
      return trials;
    };
    const deadline = Date.now() + 60_000;
    while ((await recorded()) < 1) {
      assert.ok(Date.now() < deadline, 'the worker made no trial in a minute');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    worker.kill('SIGKILL');
    assert.equal(await died, 'SIGKILL', 'it was killed before it was done');
    const before = await recorded();

    const { result, measured } = await quantize(input);
    const report = await reportOf(result.model);
    assert.deepEqual(
      report.trials.map(({ keptFloat, holds }) => [keptFloat, holds]),
      [
        [0, false],
        [1, false],
        [2, true],
      ],
    );
    assert.deepEqual(measured, report.trials.map((_, i) => i).slice(before), `${before} trials were recorded`);
    assert.equal(result.search!.holds, true);
    assert.equal(report.layers!.length, 8);
    assert.ok(report.front.includes(0) && report.front.includes('float'));
    const int8 = await getManifest(house.store, result.model, 'Model');
    assert.deepEqual([int8.precision, int8.quantization!.keptFloat], ['int8', 2]);

    const again = await quantize(input);
    assert.deepEqual([again.result, again.measured], [result, []], 'a retry after the end makes no trial');
  });

  it('stops at its budget with the least loss, and says that it does not hold', async function () {
    this.timeout(60_000);
    const { result } = await quantize(await begin(5, { maxTrials: 2 }));
    assert.deepEqual([result.search!.trials, result.search!.holds], [2, false]);
  });

  it('does not count a trial of a CPU whose sums are other numbers', async () => {
    const { plan } = await begin(0, {});
    const records = new SearchRecords(house.store, plan, 'a model');
    const saturating = { instructionSet: 'x64-avx2', weightBits: 8, x64QuantPrecision: false } as const;
    const trial = { keptFloat: 0, holds: true, quality: 1, loss: 0, lossUpper: 0, sizeBytes: 1, latencyMs: 1 };
    await records.keepTrial(0, { schema: 'goto3/quantize-trial/v1', arithmetic: saturating, trial });
    assert.deepEqual((await records.trials(saturating)).trials, [trial]);
    const elsewhere = await records.trials({ ...saturating, instructionSet: 'x64-avx512-vnni' });
    assert.deepEqual(elsewhere.trials, []);
    assert.match(elsewhere.refused[0]!, /measured with x64-avx2 .* serve with x64-avx512-vnni/);
  });
});
