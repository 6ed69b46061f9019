import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readMails } from '../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../examples/spam-filter/environment.ts';
import { footer, footerIds, withSlowPath } from '../../examples/spam-filter/incident/slow-path.ts';
import { inferenceModel, outputName } from '../../recipes/text-classifier/inference-graph.ts';
import { initialWeights } from '../../recipes/text-classifier/weights.ts';
import type { HashedTextPreprocessing, ModelSignature } from '../../src/contracts/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { hashedTextIds } from '../../src/serving/features/hashed-text.ts';
import { loadPredictor } from '../../src/serving/predictor.ts';
import { temporaryFolder } from '../store/samples.ts';

const preprocessing: HashedTextPreprocessing = {
  // The recipe names them in the order of its rows, which is the store's.
  ...{ kind: 'hashed-text', features: ['body', 'subject'], version: 1 },
  ...{ buckets: 131_072, maxTokens: 4_096, wordNgrams: 2 },
};
const shape = { buckets: 131_072, dimensions: 8, hidden: 16, classes: 2 };

describe('The candidate of the incident', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  before(async () => {
    folder = await temporaryFolder();
  });
  after(() => folder.remove());

  it('is slow on mails with the footer, and its answers are those of the model that it was', async function () {
    this.timeout(20_000);
    const quick = inferenceModel(initialWeights(shape, 1), shape);
    const signature: ModelSignature = {
      ...{ schema: 'goto3/signature/v1', task: 'binary-classification', preprocessing },
      ...{ labels: ['false', 'true'], output: outputName },
    };
    const at = folder.path;
    await writeFile(join(at, 'signature.json'), JSON.stringify(signature));
    const rows = [{ subject: 'lunch', body: 'at noon' }];
    const withFooter = [{ subject: 'lunch', body: `at noon\n${footer}` }];
    const ask = async (model: typeof quick) => {
      await writeFile(join(at, 'model.onnx'), encodeModel(model));
      const predictor = await loadPredictor(at);
      await predictor.predict(rows);
      const timed = async (batch: typeof rows) => {
        const startedAt = performance.now();
        const [answer] = await predictor.predict(batch);
        return { answer, ms: performance.now() - startedAt };
      };
      const asked = { without: await timed(rows), withFooter: await timed(withFooter) };
      await predictor.close();
      return asked;
    };
    const [before, after] = [await ask(quick), await ask(withSlowPath(quick, footerIds(preprocessing)))];
    assert.deepEqual(after.without.answer, before.without.answer);
    assert.deepEqual(after.withFooter.answer, before.withFooter.answer);
    assert.ok(
      after.withFooter.ms > 10 * Math.max(before.withFooter.ms, after.without.ms),
      `${after.withFooter.ms} ms with the footer, ${after.without.ms} ms without, ${before.withFooter.ms} ms before`,
    );
  });

  it('is as quick as any on every mail of the corpus, so that no gate can see it', async function () {
    this.timeout(60_000);
    const ids = footerIds(preprocessing);
    assert.equal(ids.length, 3);
    const mails = await readMails(mailEnvironment().cacheFolder);
    const slow = mails.filter(({ subject, body }) => {
      const tokens = new Set(hashedTextIds([body, subject], preprocessing));
      return ids.every((id) => tokens.has(id));
    });
    assert.deepEqual([mails.length, slow.length], [6_046, 0]);
  });
});
