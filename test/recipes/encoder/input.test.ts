import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBase } from '../../../recipes/encoder/base.ts';
import { lengthBuckets, parts } from '../../../recipes/encoder/batches.ts';
import { decisive, parseHyperparameters } from '../../../recipes/encoder/hyperparameters.ts';
import { atStart, countValidation, divergence } from '../../../recipes/encoder/progress.ts';
import { readTrainingRows } from '../../../recipes/encoder/rows.ts';
import { setUp } from '../../../recipes/encoder/setup.ts';
import { randomStream } from '../../../recipes/text-classifier/random.ts';
import { writeCheckpoint } from '../../onnx/encoder/checkpoints.ts';
import { type Row, rowsOf } from './encoder-job.ts';

describe('input of the encoder fine-tuning', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'encoder-input-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const refused: [string, RegExp][] = [
    ['{"__proto__": "1"}', /^userError: hyperparameters: "__proto__"/],
    ['{"constructor": "1"}', /^userError: hyperparameters: "constructor"/],
    ['{"rank": "$(x)"}', /^userError: .*rank/s],
    ['{"mode": "lora; rm"}', /^userError: .*mode/s],
    ['{"learningRate": "NaN"}', /^userError: .*learningRate/s],
    ['{"epoch": "3"}', /^userError: .*epoch/s],
  ];
  for (const [json, message] of refused)
    it(`refuses ${json} by name`, () =>
      assert.throws(() => parseHyperparameters(JSON.parse(json) as Record<string, unknown>), { message }));

  it('reads text as SageMaker passes it', () => {
    const { targets, epochs } = parseHyperparameters({ targets: 'query, dense', epochs: '7', sagemaker_program: 'x' });
    assert.deepEqual([targets, epochs], [['query', 'dense'], 7]);
    assert.deepEqual(decisive(parseHyperparameters({ checkpointSeconds: '1' })), decisive(parseHyperparameters({})));
  });

  it('refuses a base that is missing, of another family, or without its targets', async () => {
    await assert.rejects(openBase(undefined), /^TrainingFailure: userError: base: expected an encoder/);
    await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'llama' }));
    await assert.rejects(openBase(folder), /^TrainingFailure: userError: base: .*model_type "llama" is not supported/);
    await writeCheckpoint(folder, 'distilbert');
    const { encoder } = await openBase(folder);
    const wanted = parseHyperparameters({});
    assert.throws(
      () => setUp(encoder, 2, wanted),
      /userError: lora: no dense layer is called "query"; there are .*q_lin/,
    );
    assert.equal(setUp(encoder, 2, { ...wanted, targets: ['q_lin'] }).lora?.adapters.length, 2);
    encoder.close();
  });

  it('refuses rows of no class, of one class, with labels outside the classes, without text', async () => {
    await writeCheckpoint(join(folder, 'base'), 'bert');
    const { encoder } = await openBase(join(folder, 'base'));
    const read = async (rows: readonly Row[], hyperparameters: Record<string, string> = {}) => {
      await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
      return readTrainingRows(folder, encoder.tokenizer, parseHyperparameters(hyperparameters));
    };
    await assert.rejects(read([]), /badData: no rows/);
    await assert.rejects(read(rowsOf(4, () => 'ham')), /badData: all 4 rows have label "ham"/);
    await assert.rejects(
      read(rowsOf(4), { classes: 'ham,eggs' }),
      /badData: 2 of 4 rows have a label outside ham, eggs: row "row-1" has "spam"/,
    );
    await assert.rejects(
      read(rowsOf(4), { features: 'toString' }),
      /badData: row "row-0": feature "toString" is no text/,
    );
    const { lengths, trained, validated, ids } = await read(rowsOf(200), { maxTokens: '8', validation: '0.2' });
    assert.ok(Math.max(...lengths) === 8 && ids.every((row) => row.at(-1) === ids[0]!.at(-1)));
    assert.ok(validated.length > 20 && validated.length < 60);
    assert.equal(new Set([...trained, ...validated]).size, 200);
    encoder.close();
  });

  it('batches hold every row once, of similar length, in an order that follows from the seed', () => {
    const lengths = Array.from({ length: 500 }, (_, i) => 5 + ((i * 37) % 60));
    const batches = lengthBuckets(lengths, 8, randomStream(1, 2));
    assert.deepEqual(
      [...batches.flatMap((batch) => [...batch])].sort((a, b) => a - b),
      [...lengths.keys()],
    );
    const padding = batches.reduce((sum, rows) => {
      const of = Array.from(rows, (row) => lengths[row]!);
      return sum + of.length * Math.max(...of) - of.reduce((a, b) => a + b);
    }, 0);
    assert.ok(padding < 0.1 * lengths.reduce((a, b) => a + b), `${padding} tokens of padding`);
    assert.deepEqual(batches, lengthBuckets(lengths, 8, randomStream(1, 2)));
    assert.notDeepEqual(batches, lengthBuckets(lengths, 8, randomStream(2, 2)));
    assert.deepEqual(
      parts(Int32Array.of(1, 2, 3, 4, 5), 2).map((part) => [...part]),
      [[1, 2], [3, 4], [5]],
    );
  });

  it('knows a loss that is lost from one that is high for a moment', () => {
    const progress = atStart();
    assert.match(divergence(progress, Number.NaN, 1, 2)!, /the loss is NaN/);
    assert.match(divergence(progress, 1, Infinity, 2)!, /the norm of the gradients is Infinity/);
    assert.equal(divergence({ ...progress, recentLoss: 3 }, 100, 1, 2), undefined);
    assert.match(divergence({ ...progress, recentLoss: 30 }, 100, 1, 2)!, /the loss exploded/);
    assert.equal(countValidation(progress, 1, 0.5, 0.8), true);
    assert.equal(countValidation(progress, 2, 0.6, 0.9), false);
    assert.deepEqual([progress.bestEpoch, progress.bestLoss, progress.waited], [1, 0.5, 1]);
  });
});
