import { Readable } from 'node:stream';
import { gateOf } from '../../src/activities/spec.ts';
import { planApply } from '../../src/client/apply.ts';
import type { LoopFileContent } from '../../src/client/loop-file.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { DesiredState } from '../../src/contracts/endpoint.ts';
import { AppliedLoop } from '../../src/contracts/loop-spec.ts';
import type { CycleReport, MetricValue, PairedLatency, RowOutcome } from '../../src/contracts/manifests.ts';
import { refNames } from '../../src/contracts/names.ts';
import { GateSpec } from '../../src/contracts/verdict.ts';
import { computeMetrics } from '../../src/stats/metrics.ts';
import { decideVerdict, type JudgedModel } from '../../src/stats/verdict.ts';
import { putJson, putManifest } from '../../src/store/manifests.ts';
import type { Store } from '../../src/store/types.ts';

export const loop = 'spam-filter';
export const endpoint = 'mail';
const meaning = { task: 'binary-classification', positive: 'spam' } as const;
const at = (minute: number): string => new Date(Date.UTC(2026, 6, 1, 10, minute)).toISOString();
const rows = 600;

export interface FilledStore {
  dataset: Digest;
  /** Model manifests of versions 1 and 2. */
  models: [Digest, Digest];
  /** Verdicts of cycles 1 and 2. */
  verdicts: [Digest, Digest];
  reports: [Digest, Digest];
}

/**
 * A store as two cycles of the example loop leave it, and a third that has only begun: version 1 without a champion, then
 * version 2 against it. The rows are made up, and everything that follows from them is computed by the real gate.
 */
export async function fillStore(store: Store, content: LoopFileContent): Promise<FilledStore> {
  const why = (operation: string) => ({ operation, by: 'ann', reason: operation });
  const append = async (name: string, digest: Digest, operation: string) =>
    await store.refs.compareAndSet(name, await store.refs.read(name), digest, why(operation));

  const { applied } = await planApply(store, content, 'ann');
  await append(refNames.loopSpec(loop), await putJson(store, AppliedLoop, applied), 'apply');
  const text = async (body: string) => await store.blobs.put(Buffer.from(body));
  const segment = { rows: await text('rows'), train: await text('train'), holdout: await text('holdout') };
  const dataset = await putManifest(store, {
    kind: 'Dataset',
    parents: [],
    createdAt: at(0),
    loop,
    segments: [
      {
        ...segment,
        ...{ rowCount: 3_000, trainRows: 2_400, holdoutRows: rows, classCounts: { ham: 2_000, spam: 1_000 } },
        ...{ repeats: 0, redelivered: 0, schemaErrors: {}, from: at(0), to: at(1) },
      },
    ],
    rowCount: 3_000,
    classCounts: { ham: 2_000, spam: 1_000 },
    cursor: 'week-1',
    columns: { id: 'id', time: 'time', label: 'label', features: ['subject'] },
    holdoutShare: 0.2,
  });
  await append(refNames.dataset(loop), dataset, 'data');

  const gate = gateOf(content.spec);
  const gateDigest = await putJson(store, GateSpec, gate);
  const versions: { model: Digest; evaluation: Digest; judged: JudgedModel; metrics: Record<string, MetricValue> }[] =
    [];
  const verdicts: Digest[] = [];
  const reports: Digest[] = [];
  for (const n of [1, 2]) {
    // Version 1 errs on every 25th row, version 2 on every 60th.
    const outcomes = outcomesWithErrorEvery(n === 1 ? 25 : 60);
    const latency = { p50Ms: 2, p95Ms: 5, p99Ms: 8 + n, samples: 300 };
    const jobSpec = await text(`job spec ${n}`);
    const run = await putManifest(store, {
      ...{ kind: 'Run', parents: [dataset], createdAt: at(10 * n), job: `${loop}/${n}/train`, jobSpec },
      ...{ program: ['node', 'train.ts'], hyperparameters: {}, metrics: { loss: 0.1 }, durationMs: 9_000, attempts: 1 },
    } as const);
    const model = await putManifest(store, {
      ...{ kind: 'Model', parents: [run], createdAt: at(10 * n), model: loop, loop, cycle: n, precision: 'fp32' },
      files: [{ path: 'model.onnx', digest: await text(`model ${n}`), sizeBytes: 7 }],
      signature: {
        schema: 'goto3/signature/v1',
        task: meaning.task,
        preprocessing: {
          kind: 'hashed-text',
          features: ['subject'],
          buckets: 64,
          maxTokens: 8,
          wordNgrams: 1,
          version: 1,
        },
        labels: ['ham', 'spam'],
        output: 'probabilities',
      },
      ...{ sizeBytes: 7, run, dataset },
    } as const);
    const before = versions.at(-1);
    const latencyAgainst: PairedLatency[] = before
      ? [{ other: before.model, rowsPerBlock: 100, blocks: blocksAsFastAsEachOther }]
      : [];
    const metrics = computeMetrics(outcomes, meaning);
    const evaluation = await putManifest(store, {
      ...{
        kind: 'Evaluation',
        parents: [model, dataset],
        createdAt: at(10 * n + 1),
        model,
        dataset,
        metrics,
        slices: {},
      },
      outcomes: await store.blobs.put(Readable.from(outcomes.map((o) => Buffer.from(`${JSON.stringify(o)}\n`)))),
      ...{ rowCount: rows, latency, latencyAgainst, sizeBytes: 7, servable: true },
    } as const);
    const judged: JudgedModel = {
      ...{ outcomes, latency, sizeBytes: 7, servable: true },
      latencyAgainst: latencyAgainst[0] ? { champion: latencyAgainst[0] } : {},
    };
    const verdict = decideVerdict({ gate, candidate: judged, ...(before && { champion: before.judged }), ...meaning });
    const verdictDigest = await putManifest(store, {
      ...{ kind: 'Verdict', parents: [model], createdAt: at(10 * n + 2), candidate: model },
      ...{ champion: before?.model ?? null, anchor: null, gate: gateDigest, verdict },
      evaluations: [evaluation, ...(before ? [before.evaluation] : [])],
    } as const);
    const step = {
      ...{
        weight: 10,
        startedAt: at(10 * n + 3),
        endedAt: at(10 * n + 4),
        candidateRequests: 312,
        stableRequests: 2_811,
      },
      ...{ backgroundShare: 0.9, candidateErrors: 0, stableErrors: 1, decision: 'advance: no harm' },
    };
    const deployment = await putManifest(store, {
      ...{ kind: 'Deployment', parents: [model], createdAt: at(10 * n + 5), endpoint, model, outcome: 'deployed' },
      ...{ reason: 'the canary held at every step', steps: before ? [step] : [] },
    } as const);
    const report: CycleReport = {
      ...{ kind: 'CycleReport', parents: [dataset, model, verdictDigest, deployment], createdAt: at(10 * n + 6) },
      ...{
        loop,
        cycle: n,
        reason: '3000 new rows',
        startedAt: at(10 * n),
        endedAt: at(10 * n + 6),
        outcome: 'deployed',
      },
      ...{ detail: `version ${n}`, dataset, rowCount: 3_000, newRows: 3_000, candidate: model, precision: 'fp32' },
      ...{ verdict: verdictDigest, verdictResult: verdict.result, deployment, version: n, approvedBy: 'gate' },
      ...{ metrics, ...(before && { championMetrics: before.metrics }), gpuHours: 0 },
      phasesMs: { training: 60_000, evaluation: 20_000, rollout: 15_000, orchestration: 5_000 },
    };
    await append(refNames.cycles(loop), await opened(store, n), `cycle ${n}`);
    await append(refNames.versions(loop), model, `version ${n}`);
    await append(refNames.champion(loop), model, `champion ${n}`);
    const reportDigest = await putManifest(store, report);
    await append(refNames.reports(loop), reportDigest, `report ${n}`);
    await append(refNames.desired(endpoint), await putJson(store, DesiredState, desired(n, model)), `generation ${n}`);
    versions.push({ model, evaluation, judged, metrics });
    verdicts.push(verdictDigest);
    reports.push(reportDigest);
  }
  await append(refNames.cycles(loop), await opened(store, 3), 'cycle 3');
  return {
    dataset,
    models: [versions[0]!.model, versions[1]!.model],
    verdicts: [verdicts[0]!, verdicts[1]!],
    reports: [reports[0]!, reports[1]!],
  };
}

const opened = async (store: Store, n: number): Promise<Digest> =>
  await putManifest(store, { kind: 'CycleOpened', parents: [], createdAt: at(10 * n), loop, cycle: n, reason: 'rows' });

export const desired = (generation: number, model: Digest): DesiredState => ({
  schema: 'goto3/desired/v1',
  endpoint,
  generation,
  variants: [{ name: 'current', model, weight: 100, shadow: false }],
  frozen: null,
});

/** Now one model is a little faster, now the other. */
const blocksAsFastAsEachOther: PairedLatency['blocks'] = Array.from({ length: 20 }, (_, i) => {
  const [one, other] = i % 2 === 0 ? [0, i / 100] : [i / 100, 0];
  return { p50: [2 + one, 2 + other], p95: [5 + one, 5 + other], p99: [9 + one, 9 + other] };
});

function outcomesWithErrorEvery(every: number): RowOutcome[] {
  return Array.from({ length: rows }, (_, i) => {
    const label = i % 3 === 0 ? 'spam' : 'ham';
    const wrong = i % every === 0;
    const predicted = wrong ? (label === 'spam' ? 'ham' : 'spam') : label;
    const score = predicted === 'spam' ? 0.9 - (i % 7) / 100 : 0.1 + (i % 7) / 100;
    const slices = [`hasHtml=${i % 2 === 0}`, 'month=2026-07'];
    return { id: `row-${i}`, time: at(0), label, predicted, score, slices };
  });
}
