import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { readMails } from '../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../examples/spam-filter/environment.ts';
import type { MailRow } from '../examples/spam-filter/mail.ts';
import type { DataRow } from '../src/activities/data/rows.ts';
import { writeSegment } from '../src/activities/data/segment.ts';
import type { Digest } from '../src/contracts/digest.ts';
import { Dataset, Model } from '../src/contracts/manifests.ts';
import { ModelSignature, signatureFileName } from '../src/contracts/model.ts';
import { refNames } from '../src/contracts/names.ts';
import { backtest } from '../src/models/backtest.ts';
import { isHoldout, normaliseForHash } from '../src/stats/holdout.ts';
import { digestOf } from '../src/store/canonical-json.ts';
import { putFolder } from '../src/store/folders.ts';
import { getJson, putManifest } from '../src/store/manifests.ts';
import { openStore } from '../src/store/open.ts';
import type { KeptStore } from '../src/store/upkeep.ts';
import { trainModel } from './spam-weeks.ts';

/**
 * `models backtest` on the mail example: 20 versions, each trained by the recipe on all mail up to a later day, on every
 * month of the hold-out. The models are real and small in epochs: how well they do is not what is measured here.
 */
const versions = 20;
const share = 0.2;
const model = 'spam-filter';

const { cacheFolder } = mailEnvironment();
const mails = await readMails(cacheFolder);
const folder = await mkdtemp(join(tmpdir(), 'goto3-bench-backtest-'));
try {
  const store = await openStore(join(folder, 'store'));
  const dataset = await fill(store);
  const run = async () => {
    const startedAt = performance.now();
    const result = await backtest({
      ...{ store, model, dataset, by: 'month', rowsPerPeriod: 2_000, who: 'bench' },
      signal: new AbortController().signal,
    });
    return { seconds: (performance.now() - startedAt) / 1_000, result };
  };
  const first = await run();
  const again = await run();
  const { periods } = first.result;
  const rows = periods.reduce((sum, period) => sum + period.rows, 0);
  console.log(
    `${versions} versions × ${periods.length} months, ${rows} held-out mails: ${first.seconds.toFixed(1)} s the first time (${first.result.computed} cells), ${again.seconds.toFixed(2)} s again (${again.result.reused} cells there)`,
  );
  const goals = {
    'the first time takes at most 60 s': first.seconds <= 60 && first.result.computed >= versions * 12,
    'again takes at most 5 s': again.seconds <= 5 && again.result.computed === 0,
  };
  const ours = { versions, periods: periods.length, rows, firstSeconds: first.seconds, againSeconds: again.seconds };
  console.log(JSON.stringify({ bench: 'backtest', ours, peers: {}, ratios: {}, goals, node: process.version }));
} finally {
  await rm(folder, { recursive: true });
}

/** A registry as 20 cycles leave it. */
async function fill(store: KeptStore): Promise<{ digest: Digest; manifest: Dataset }> {
  let dataset: { digest: Digest; manifest: Dataset } | undefined;
  for (let version = 1; version <= versions; version += 1) {
    const known = mails.slice(0, Math.round((mails.length * version) / versions));
    const fresh = known.slice(Math.round((mails.length * (version - 1)) / versions));
    dataset = await accept(store, fresh, dataset);
    const { model: trained } = await trainModel(
      join(folder, `version-${version}`),
      known.filter((mail) => !isHoldout(digestOf(normaliseForHash(asRow(mail).features)), share)),
      { epochs: '1' },
    );
    const files = await putFolder(store, trained);
    const signature = await getJson(
      store,
      ModelSignature,
      files.find(({ path }) => path === signatureFileName)!.digest,
    );
    const jobSpec = await store.blobs.put(Buffer.from(`training of version ${version}`));
    const common = { createdAt: new Date(0).toISOString() };
    const made = await putManifest(store, {
      ...{ kind: 'Run', parents: [dataset.digest], ...common, job: `${model}/${version}/train/1`, jobSpec },
      ...{ program: ['node', 'train.ts'], hyperparameters: {}, metrics: {}, durationMs: 1, attempts: 1 },
    } as const);
    const manifest = Model.parse({
      ...{ kind: 'Model', parents: [made], ...common, model, loop: model, cycle: version, precision: 'fp32', files },
      ...{ signature, sizeBytes: files.reduce((sum, f) => sum + f.sizeBytes, 0), run: made, dataset: dataset.digest },
    });
    const why = { operation: `version ${version}`, by: 'bench', reason: 'bench' };
    await store.refs.append(refNames.versions(model), await putManifest(store, manifest), why);
    process.stderr.write(`\rtrained ${version} of ${versions}`);
  }
  process.stderr.write('\n');
  return dataset!;
}

async function accept(
  store: KeptStore,
  fresh: readonly MailRow[],
  before: { digest: Digest; manifest: Dataset } | undefined,
) {
  const segment = await writeSegment(store, { holdoutShare: share, task: 'classification' }, async (add) => {
    for (const mail of fresh) await add(asRow(mail));
    return { schemaErrors: {}, redelivered: 0 };
  });
  const segments = [...(before?.manifest.segments ?? []), segment!];
  const manifest = Dataset.parse({
    ...{ kind: 'Dataset', parents: before ? [before.digest] : [], createdAt: new Date(0).toISOString(), loop: model },
    ...{ segments, rowCount: segments.reduce((sum, s) => sum + s.rowCount, 0), classCounts: {}, cursor: '' },
    columns: { id: 'messageId', time: 'receivedAt', label: 'isSpam', features: ['subject', 'body'] },
    holdoutShare: share,
  });
  return { digest: await putManifest(store, manifest), manifest };
}

function asRow({ messageId, receivedAt, isSpam, subject, body }: MailRow): DataRow {
  return { id: messageId, time: receivedAt, label: String(isSpam), features: { subject, body }, slices: [] };
}
