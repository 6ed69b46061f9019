import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readContainer } from '../../../recipes/text-classifier/container.ts';
import { parseHyperparameters } from '../../../recipes/text-classifier/hyperparameters.ts';
import { classesOf, featuresOf, readRows } from '../../../recipes/text-classifier/rows.ts';
import { rowsOf } from './training-job.ts';

describe('hyperparameters of the text classifier', () => {
  it('reads text as SageMaker passes it, numbers as people write them, and has defaults', () => {
    assert.equal(parseHyperparameters({ epochs: '7', learningRate: '1e-2' }).learningRate, 0.01);
    assert.equal(parseHyperparameters({ epochs: 7 }).epochs, 7);
    assert.equal(parseHyperparameters({ sagemaker_program: 'x', _tuning_objective_metric: 'y' }).seed, 1);
  });

  const refused: [Record<string, unknown>, RegExp][] = [
    [{ epochs: 'three' }, /epochs/],
    [{ epochs: '' }, /epochs/],
    [{ epochs: '0' }, /epochs/],
    [{ epochs: '2.5' }, /epochs/],
    [{ buckets: '99999999999' }, /buckets/],
    [{ tokenDropout: '1' }, /tokenDropout/],
    [{ learningRate: 'NaN' }, /learningRate/],
    [{ epoch: '3' }, /epoch/],
  ];
  for (const [given, message] of refused)
    it(`refuses ${JSON.stringify(given)} by name`, () =>
      assert.throws(() => parseHyperparameters(given), {
        message: new RegExp(`^userError: .*${message.source}`, 's'),
      }));

  it('refuses what is no JSON object', () => {
    for (const text of ['[]', 'null', '{', '"x"'])
      assert.throws(() => readContainer({ SM_HPS: text }), /userError: hyperparameters: expected a JSON object/);
  });
});

describe('rows of the text classifier', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rows-'));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const [row] = rowsOf(1);

  const refused: [string, string, RegExp][] = [
    ['an empty file', '\n', /no rows/],
    ['a line that is not JSON', `${JSON.stringify(row)}\n{"id":`, /a\.jsonl line 2: expected JSON/],
    ['a label that is not text', JSON.stringify({ ...row, label: true }), /a\.jsonl line 1: .*label/s],
    ['a time that is none', JSON.stringify({ ...row, time: 'soon' }), /a\.jsonl line 1: .*time/s],
    ['a row without an id', JSON.stringify({ ...row, id: undefined }), /a\.jsonl line 1: .*id/s],
    ['features that are a list', JSON.stringify({ ...row, features: [1] }), /a\.jsonl line 1: .*features/s],
  ];
  for (const [name, text, message] of refused)
    it(`refuses ${name}, with file and line`, async () => {
      await writeFile(join(folder, 'a.jsonl'), text);
      await assert.rejects(readRows(folder), { message: new RegExp(`^badData: ${message.source}`, 's') });
    });

  it('refuses a channel without files', () => assert.rejects(readRows(folder), /badData: no rows/));

  it('orders classes by name, the positive one last', () => {
    assert.deepEqual(classesOf(rowsOf(4), undefined), ['false', 'true']);
    assert.deepEqual(classesOf(rowsOf(4), 'false'), ['true', 'false']);
    assert.throws(() => classesOf(rowsOf(4), 'spam'), /badData: no row has.*"spam"; labels are false, true/);
    assert.throws(
      () =>
        classesOf(
          rowsOf(3, () => 'x'),
          undefined,
        ),
      /badData: all 3 rows have label "x"/,
    );
  });

  it('learns from the text features of the first row unless told otherwise', () => {
    const rows = [{ ...rowsOf(1)[0]!, features: { a: 'x', n: 1, b: 'y' } }];
    assert.deepEqual(featuresOf(rows, undefined), ['a', 'b']);
    assert.deepEqual(featuresOf(rows, 'b, a'), ['b', 'a']);
    assert.throws(() => featuresOf([{ ...rows[0]!, features: { n: 1 } }], undefined), /badData: no text feature/);
  });
});
