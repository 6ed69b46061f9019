import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrainActivities, FileList } from '../../src/activities/train.ts';
import type { TrainActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { JobSpec } from '../../src/contracts/job.ts';
import { putFolder } from '../../src/store/folders.ts';
import { getJson, getManifest, putJson } from '../../src/store/manifests.ts';
import { writeCheckpoint } from '../onnx/encoder/checkpoints.ts';
import { constantModel } from '../serving/models.ts';
import { failure, House, rows, run } from './house.ts';

describe('training', () => {
  let house: House;
  let train: TrainActivities;
  beforeEach(async () => {
    house = await House.open();
    train = createTrainActivities({ store: house.store });
  });
  afterEach(() => house.close());

  const specOf = async (digest: Digest) => await getJson(house.store, JobSpec, digest);

  it('writes a job spec whose channels are the rows to train on and the champion', async () => {
    const spec = await house.apply({
      train: {
        program: ['node', 'train.mjs'],
        env: { TOKEN: { secret: 'hub' } },
        hyperparameters: { epochs: 3, cased: false },
        resources: { cpus: 2, memory: '2GiB', time: '10m' },
        progressTimeout: '1m',
      },
    });
    await house.deliver(...rows(0, 50));
    await house.snapshotAndAccept(spec);
    const champion = await house.model(constantModel(0.5));
    await house.crown(champion);
    await house.deliver(...rows(50, 80));
    const { plan, dataset, trainRows } = await house.snapshotAndAccept(spec, 2);

    const prepared = await run(train.prepareTraining, { plan, dataset });
    assert.equal(prepared.trainRows, trainRows);
    const job = await specOf(prepared.specDigest);
    const { segments } = await house.dataset(dataset);
    assert.deepEqual(
      job.channels.train!.map(({ path, digest }) => [path, digest]),
      segments.map((segment, i) => [`part-00000${i}.jsonl`, segment.train]),
    );
    assert.deepEqual(job.channels.base, (await getManifest(house.store, champion, 'Model')).files);
    assert.deepEqual(
      [job.name, job.hyperparameters, job.environment, job.workingDirectory, job.expects],
      ['spam/2/train', { epochs: '3', cased: 'false' }, { TOKEN: { secret: 'hub' } }, house.loopFolder, 'model'],
    );
    assert.deepEqual(job.resources, { gpus: 0, cpus: 2, memoryBytes: 2 * 2 ** 30, timeLimitMs: 600_000 });
    assert.deepEqual([job.progressTimeoutMs, job.nice], [60_000, 10]);
  });

  it('brings a pretrained base into the store, on a channel of its own beside the champion, and into the lineage', async () => {
    const folder = join(house.folder, 'pretrained');
    await writeCheckpoint(folder, 'bert');
    const spec = await house.apply({ base: { from: `folder:${folder}` } });
    await house.deliver(...rows(0, 50));
    const { plan, dataset } = await house.snapshotAndAccept(spec);
    const champion = await house.model(constantModel(0.5));
    const warm = { ...plan, warmStart: champion };
    const { specDigest: jobSpec } = await run(train.prepareTraining, { plan: warm, dataset });
    const job = await specOf(jobSpec);
    assert.deepEqual(
      job.channels.base!.map(({ path }) => path),
      ['config.json', 'model.safetensors', 'tokenizer.json'],
    );
    assert.deepEqual(job.channels.champion, (await getManifest(house.store, champion, 'Model')).files);

    const model = await getManifest(house.store, await house.model(constantModel(0.5)), 'Model');
    const input = { plan: warm, dataset, jobSpec, files: await putJson(house.store, FileList, model.files) };
    const result = { jobKey: `${plan.loop}/${plan.n}/train`, metrics: {}, durationMs: 1, attempts: 1 };
    const registered = await run(train.registerModel, { ...input, ...result });
    const { run: ran } = await getManifest(house.store, registered.model, 'Model');
    const [trainedOn, base, warmStart] = (await getManifest(house.store, ran, 'Run')).parents;
    assert.deepEqual([trainedOn, warmStart], [dataset, champion]);
    assert.equal((await getManifest(house.store, base as Digest, 'Base')).source, `folder:${folder}`);

    for (const from of ['hub:owner/name@main', 'hub:owner/name', 'folder:relative', 'store:sha256:12']) {
      const refused = { ...plan, n: 9, specDigest: await house.apply({ base: { from } }) };
      await assert.rejects(
        run(train.prepareTraining, { plan: refused, dataset }),
        failure('InvalidInput', 'base.from'),
      );
    }
  });

  it('decides once: run again, also with newer data and another champion, it is the same job', async () => {
    const spec = await house.apply();
    await house.deliver(...rows(0, 50));
    const first = await house.snapshotAndAccept(spec);
    const prepared = await run(train.prepareTraining, first);
    assert.deepEqual(await run(train.prepareTraining, first), prepared);

    await house.deliver(...rows(50, 90));
    await house.crown(await house.model(constantModel(0.5)));
    const again = await house.snapshotAndAccept(spec);
    assert.notEqual(again.dataset, first.dataset);
    assert.deepEqual(await run(train.prepareTraining, again), prepared);
  });

  describe('what a job left', () => {
    const register = async (files: Record<string, string | Uint8Array>, spec?: Digest) => {
      await house.deliver(...rows(0, 50));
      const { plan, dataset } = await house.snapshotAndAccept(spec ?? (await house.apply()));
      const { specDigest: jobSpec } = await run(train.prepareTraining, { plan, dataset });
      const folder = join(house.folder, 'left');
      await mkdir(folder);
      for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
      const list = await putJson(house.store, FileList, await putFolder(house.store, folder));
      const input = {
        ...{ plan, dataset, jobSpec, files: list },
        ...{ jobKey: 'spam/1/train', metrics: { loss: 0.25 }, durationMs: 1_500, attempts: 2 },
      };
      return { input, registered: await run(train.registerModel, input) };
    };
    const signature = JSON.stringify({
      schema: 'goto3/signature/v1',
      task: 'binary-classification',
      preprocessing: { kind: 'numeric', features: ['x', 'y'] },
      labels: ['ham', 'spam'],
      output: 'probabilities',
    });

    it('becomes a Run and a Model whose lineage is what was trained, once', async () => {
      await house.write('train.mjs', 'the program');
      const onnx = constantModel(0.5);
      const { input, registered } = await register({
        'model.onnx': onnx,
        'signature.json': signature,
        'notes.txt': 'x',
      });
      assert.equal(registered.sizeBytes, onnx.length);
      const model = await getManifest(house.store, registered.model, 'Model');
      const made = await getManifest(house.store, model.run, 'Run');
      assert.deepEqual([model.precision, model.cycle, model.dataset], ['fp32', 1, input.dataset]);
      assert.deepEqual(
        model.files.map(({ path }) => path),
        ['model.onnx', 'notes.txt', 'signature.json'],
      );
      assert.deepEqual([made.parents, made.attempts, made.metrics], [[input.dataset], 2, { loss: 0.25 }]);
      assert.equal(made.programDigest, await house.store.blobs.put(Buffer.from('the program')));
      assert.deepEqual(await run(train.registerModel, input), registered, 'twice is once');

      // Run again in another life, with newer data: the job trained on the old.
      await house.deliver(...rows(50, 90));
      const later = await house.snapshotAndAccept(await house.apply());
      const again = await run(train.registerModel, { ...input, ...later });
      assert.equal((await getManifest(house.store, again.model, 'Model')).dataset, input.dataset);
    });

    const without = 'the training left no model.onnx with a signature.json beside it in SM_MODEL_DIR';
    const refusals: [what: string, files: Record<string, string>, problem: string][] = [
      ['without a model', { 'signature.json': signature }, without],
      ['without a signature', { 'model.onnx': 'x' }, without],
      [
        'with a signature that says nonsense',
        { 'model.onnx': 'x', 'signature.json': '{"schema":"goto3/signature/v1","labels":7}' },
        'labels: ',
      ],
    ];
    for (const [what, files, problem] of refusals)
      it(`is refused ${what}`, async () => {
        await assert.rejects(register(files), failure('InvalidInput', problem));
      });

    it('is refused for a job that the cycle did not decide on', async () => {
      const { input } = await register({ 'model.onnx': 'x', 'signature.json': signature });
      await assert.rejects(
        run(train.registerModel, { ...input, jobSpec: input.dataset }),
        failure('InvalidInput', 'cycle spam/1 decided on'),
      );
    });
  });

  it('says which field of an applied spec no longer fits', async () => {
    const spec = await house.apply();
    const plan = await house.plan(spec);
    const applied = await house.apply({ train: { resources: { time: 'soon' } } });
    await house.deliver(...rows(0, 20));
    const { dataset } = await house.snapshotAndAccept(spec);
    await assert.rejects(
      run(train.prepareTraining, { plan: { ...plan, specDigest: applied }, dataset }),
      failure('InvalidInput', 'train.resources.time: expected a duration', 'apply the file again'),
    );
  });
});
