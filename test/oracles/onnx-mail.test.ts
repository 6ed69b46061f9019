import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { InferenceSession } from 'onnxruntime-node';
import { readMails } from '../../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../../examples/spam-filter/environment.ts';
import type { MailRow } from '../../examples/spam-filter/mail.ts';
import { fetchMiniLm } from '../../scripts/fetch-minilm.ts';
import { buildEncoder } from '../../src/onnx/encoder/build.ts';
import { feedsOf } from '../../src/onnx/encoder/embed.ts';
import { openEncoder } from '../../src/onnx/encoder/folder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { observeActivations } from '../../src/onnx/quantize/activations/observe.ts';
import { quantizeWithStatistics } from '../../src/onnx/quantize/activations/quantize-with-statistics.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import { tangoInterval } from '../../src/stats/paired-proportions.ts';
import { embeddingsOf, logit, tokensOf, trainHead } from './mail-embeddings.ts';

const python = process.env.GOTO3_ORACLE_PYTHON;
const peer = fileURLToPath(new URL('../../bench/quantize-peer.py', import.meta.url));
/** GOTO3_MAIL_TOKENS=128 is the long form. Embeddings are cached, by model, tokens and instructions. */
const tokens = Number(process.env.GOTO3_MAIL_TOKENS ?? 24);
const largestLoss = 0.005;
/** Of the head's own training mails: the judges are nobody's calibration. */
const calibrationRows = 128;

interface Judged {
  accuracy: number;
  gained: number;
  lost: number;
  /** One-sided 95 % bound of the accuracy that is lost against float. */
  lossAtMost: number;
  /** Mean over rows of the squared distance to the float embedding, whose length is 1. */
  distance: number;
  disagreeing: string[];
  wrong: ReadonlySet<string>;
}

/**
 * int8 on real work: MiniLM embeds mails, a logistic head that was trained on float embeddings of other mails says which
 * are spam. Both int8 models are made from the same file with the same options.
 */
describe(`int8 MiniLM on mail${python === undefined ? ' (npm run test:oracles)' : ''}`, function () {
  this.timeout(1_200_000);
  let judgedRows: MailRow[];
  let [ours, theirs, calibrated]: Judged[] = [];
  let sizes: { ours: number; theirs: number; calibrated: number };

  before(async function () {
    if (python === undefined) return this.skip();
    const encoder = openEncoder(await fetchMiniLm());
    const folder = await mkdtemp(join(tmpdir(), 'goto3-int8-mail-'));
    try {
      const model = buildEncoder(encoder, { kind: 'embedding', ...encoder.pooling });
      const [floatFile, peerFile] = [join(folder, 'float.onnx'), join(folder, 'theirs.onnx')];
      const float = encodeModel(model);
      await writeFile(floatFile, float);
      await promisify(execFile)(python, [peer, floatFile, peerFile]);
      const int8 = encodeModel(quantizeDynamic(model).model);

      const mails = await readMails(mailEnvironment().cacheFolder);
      // By the id's own hash: every second mail trains the head, the others judge.
      const trains = ({ messageId }: MailRow): boolean => Number.parseInt(messageId.slice(0, 2), 16) < 115;
      const train = mails.filter(trains);
      judgedRows = mails.filter((mail) => !trains(mail));
      const ids = (rows: readonly MailRow[]): number[][] =>
        rows.map((mail) => tokensOf(mail, encoder.tokenizer, tokens));
      const trainRows = ids(train);
      const statistics = await observed(model, trainRows.slice(0, calibrationRows));
      const calibratedInt8 = encodeModel(quantizeWithStatistics(model, statistics).model);
      sizes = {
        ours: int8.byteLength,
        theirs: (await stat(peerFile)).size,
        calibrated: calibratedInt8.byteLength,
      };
      const learned = await embeddingsOf(float, trainRows);
      const head = trainHead(
        learned,
        train.map(({ isSpam }) => isSpam),
        encoder.config.hiddenSize,
      );
      const rows = ids(judgedRows);
      const reference = await embeddingsOf(float, rows);
      const judge = (embeddings: Float32Array): Judged => judged(embeddings, reference, judgedRows, head);
      ours = judge(await embeddingsOf(int8, rows));
      calibrated = judge(await embeddingsOf(calibratedInt8, rows));
      theirs = judge(await embeddingsOf(await readFile(peerFile), rows));
      const floatJudged = judge(reference);
      const percent = (share: number): string => `${(100 * share).toFixed(3)} %`;
      const line = (name: string, { accuracy, gained, lost, lossAtMost, distance }: Judged): string =>
        `${name} ${percent(accuracy)}, +${gained} −${lost}, loses at most ${percent(lossAtMost)}, squared distance ${distance.toExponential(2)}`;
      console.log(
        [
          `${judgedRows.length} mails of ${tokens} tokens, head trained on ${train.length} others; bytes ${sizes.ours}, Python's ${sizes.theirs}, with ${calibrationRows} calibration rows ${sizes.calibrated}`,
          line('float   ', floatJudged),
          line('ours    ', ours),
          line('with rows', calibrated),
          line('Python’s', theirs),
          `at most half a point lost, at 95 % confidence: ${calibrated.lossAtMost <= largestLoss} with calibration rows, ${ours.lossAtMost <= largestLoss} without`,
          ...ours.disagreeing.map((row) => `ours disagrees with float on ${row}`),
          ...calibrated.disagreeing.map((row) => `ours with rows disagrees with float on ${row}`),
          ...theirs.disagreeing.map((row) => `Python’s disagrees with float on ${row}`),
        ]
          .map((text) => `      ${text}`)
          .join('\n'),
      );
    } finally {
      encoder.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('is judged on at least 3,000 mails', () => assert.ok(judgedRows.length >= 3_000, `${judgedRows.length}`));

  it('as int8 throughout is no larger than Python’s, nearer to float, and loses no more mails than chance explains', () => {
    assert.ok(sizes.ours <= sizes.theirs, JSON.stringify(sizes));
    assert.ok(ours!.distance <= theirs!.distance);
    // Both are wrong on some mails alone: the exact bound of a fair coin.
    const [alone, theirsAlone] = [onlyIn(ours!.wrong, theirs!.wrong), onlyIn(theirs!.wrong, ours!.wrong)];
    const { upper } = tangoInterval({ rows: judgedRows.length, gained: theirsAlone, lost: alone }, 0.9);
    assert.ok(upper >= 0, `wrong alone on ${alone} mails, Python's on ${theirsAlone}`);
  });

  it('with calibration rows loses at most half a point and no more than Python’s, which is no smaller', () => {
    assert.ok(sizes.calibrated <= sizes.theirs, JSON.stringify(sizes));
    assert.ok(calibrated!.distance <= 0.75 * theirs!.distance, `${calibrated!.distance}, Python's ${theirs!.distance}`);
    assert.ok(calibrated!.lossAtMost <= largestLoss, `${calibrated!.lossAtMost}`);
    assert.ok(calibrated!.lossAtMost <= theirs!.lossAtMost, `${calibrated!.lossAtMost}, ${theirs!.lossAtMost}`);
  });
});

/** What the float model's activations are like on these rows, each in a run of its own, as they are judged. */
async function observed(model: Model, rows: readonly (readonly number[])[]) {
  const observation = observeActivations(model);
  const session = await InferenceSession.create(encodeModel(observation.model), { intraOpNumThreads: 1 });
  try {
    for (const ids of rows) {
      const outputs = await session.run(feedsOf([ids], 0), [...observation.outputs]);
      observation.add((name) => outputs[name]!.data as Float32Array);
    }
    return observation.statistics();
  } finally {
    await session.release();
  }
}

const onlyIn = (a: ReadonlySet<string>, b: ReadonlySet<string>): number => [...a].filter((id) => !b.has(id)).length;

function judged(
  embeddings: Float32Array,
  reference: Float32Array,
  mails: readonly MailRow[],
  head: Float64Array,
): Judged {
  let [right, gained, lost] = [0, 0, 0];
  const disagreeing: string[] = [];
  const wrong = new Set<string>();
  for (const [r, { messageId, isSpam, subject }] of mails.entries()) {
    const [ours, float] = [logit(head, embeddings, r), logit(head, reference, r)];
    const isRight = ours > 0 === isSpam;
    const floatIsRight = float > 0 === isSpam;
    right += Number(isRight);
    if (!isRight) wrong.add(messageId);
    gained += Number(isRight && !floatIsRight);
    lost += Number(!isRight && floatIsRight);
    if (isRight !== floatIsRight)
      disagreeing.push(
        `${messageId.slice(0, 12)} (${isSpam ? 'spam' : 'ham'}): ${float.toFixed(3)} → ${ours.toFixed(3)} ${JSON.stringify(subject.slice(0, 40))}`,
      );
  }
  const squares = embeddings.reduce((sum, value, i) => sum + (value - reference[i]!) ** 2, 0);
  // The lower end of a two-sided 90 % interval of the gain, turned round.
  const { lower } = tangoInterval({ rows: mails.length, gained, lost }, 0.9);
  return {
    accuracy: right / mails.length,
    gained,
    lost,
    lossAtMost: 0 - lower,
    distance: squares / mails.length,
    disagreeing,
    wrong,
  };
}
