import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type { CyclePlan } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import { RowOutcome } from '../../contracts/manifests.ts';
import { modelFileName } from '../../contracts/model.ts';
import type { Arithmetic } from '../../onnx/quantize/instruction-set.ts';
import { paretoFront, searchFewestFloat, type Trial, type TrialFigures } from '../../onnx/quantize/search.ts';
import { nodesKeptFloat } from '../../onnx/quantize/sensitivity.ts';
import { createScorer } from '../../serving/scoring/scorer.ts';
import { comparePaired } from '../../stats/paired.ts';
import { getManifest, type ManifestOf } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { type DataRow, readRows } from '../data/rows.ts';
import { runQuantizer } from './quantizer.ts';
import { FloatRecord, type QuantizationReport, RankingRecord, SearchRecords } from './records.ts';

export interface SearchInput {
  plan: CyclePlan;
  digest: Digest;
  model: ManifestOf<'Model'>;
  /** The float model's folder. */
  folder: string;
  scratch: string;
  arithmetic: Arithmetic;
  smallest: number;
  maxTrials: number;
  rows: number;
  margin: number;
  say: (details: unknown) => void;
  warn: (problem: string) => void;
  signal: AbortSignal;
}

/** Rows enough to see a layer's error; it is an average over thousands of numbers a row. */
const rankedRows = 128;
const timed = { warmup: 10, samples: 100 };

/**
 * Which layers stay float, by trials on the newest rows that the model was trained on: the hold-out is the gate's, and a
 * search that looked at it would pass by luck. Undefined when there are no rows to search on.
 */
export async function searchFloatLayers(store: Store, input: SearchInput): Promise<QuantizationReport | undefined> {
  const { plan, digest, model, arithmetic, maxTrials, margin, say } = input;
  const rows = await newestTrainRows(store, model.dataset, input.rows);
  if (rows.length === 0) return undefined;
  const records = new SearchRecords(store, plan, `${digest} on ${rows.length} rows of ${model.dataset}`);
  const float = await records.once('float reference', FloatRecord, async () => {
    const { outcomes, ...figures } = await score(input, input.folder, rows);
    const lines = outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`);
    return {
      schema: 'goto3/quantize-float/v1' as const,
      ...figures,
      outcomes: await store.blobs.put(Readable.from(lines)),
    };
  });
  const reference = await readOutcomes(store, float.outcomes);
  let layers: RankingRecord['layers'] | null = null;
  const ranking = async (): Promise<RankingRecord['layers']> =>
    (layers ??= (await records.once('ranking', RankingRecord, () => rank(input, rows))).layers);

  const before = await records.trials(arithmetic);
  for (const why of before.refused) input.warn(why);
  let made = before.trials.length;
  const measure = async (keptFloat: number): Promise<TrialFigures> => {
    say({ trial: made, keptFloat, of: maxTrials });
    const exclude = keptFloat === 0 ? [] : nodesKeptFloat(await ranking(), keptFloat);
    const folder = await trialFolder(input, keptFloat);
    try {
      const output = join(folder, modelFileName);
      const answer = await quantize(input, output, exclude);
      const { outcomes, ...figures } = await score(input, folder, rows);
      return { ...figures, sizeBytes: answer.sizeBytes, ...compare(outcomes, reference, model) };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
  const onTrial = async (trial: Trial): Promise<void> => {
    await records.keepTrial(made, { schema: 'goto3/quantize-trial/v1', arithmetic, trial });
    made += 1;
    say({ trial: made, of: maxTrials, holds: trial.holds });
  };
  const common = { margin, measure, onTrial };
  // Most models hold at once, and then no layer need be measured.
  const first = await searchFewestFloat({ ...common, layers: 1, maxTrials: 1, before: before.trials.slice(0, 1) });
  const { chosen, holds, trials } = first.holds
    ? first
    : await searchFewestFloat({
        ...common,
        layers: (await ranking()).length,
        maxTrials,
        before: before.trials.length > 0 ? before.trials : first.trials,
      });
  const { schema: _schema, ...floatFigures } = float;
  const named = [
    { name: 'float' as const, loss: 0, lossUpper: 0, ...floatFigures },
    ...trials.map((trial) => ({ name: trial.keptFloat, ...trial })),
  ];
  return {
    schema: 'goto3/quantization-report/v1',
    model: digest,
    arithmetic,
    rows: rows.length,
    margin,
    holds,
    keptFloat: chosen.keptFloat === 0 ? [] : nodesKeptFloat(await ranking(), chosen.keptFloat),
    float: floatFigures,
    layers,
    trials: [...trials],
    front: paretoFront(named).map(({ name }) => name),
  };
}

async function rank(
  { folder, scratch, model, arithmetic, smallest, signal }: SearchInput,
  rows: readonly DataRow[],
): Promise<RankingRecord> {
  const answer = await runQuantizer(
    {
      op: 'rank',
      input: join(folder, modelFileName),
      reduceRange: arithmetic.weightBits === 7,
      smallest,
      signature: model.signature,
      rows: rows.slice(-rankedRows).map(({ features }) => features),
    },
    scratch,
    signal,
  );
  if (answer.op === 'refused') throw new Error(`layers cannot be measured: ${answer.problem}`);
  const layers = answer.layers.map(({ nodes, weights, sqnrDb }) => ({
    nodes: [...nodes],
    weights: [...weights],
    sqnrDb,
  }));
  return { schema: 'goto3/quantize-ranking/v1', layers };
}

async function quantize(
  { folder, scratch, arithmetic, smallest, signal }: SearchInput,
  output: string,
  exclude: string[],
): Promise<{ sizeBytes: number }> {
  const task = {
    input: join(folder, modelFileName),
    output,
    reduceRange: arithmetic.weightBits === 7,
    smallest,
    exclude,
  };
  const answer = await runQuantizer({ op: 'quantize', ...task }, scratch, signal);
  if (answer.op === 'refused') throw new Error(`the model cannot be quantized: ${answer.problem}`);
  return answer;
}

/** The model's folder without its graph, which the trial writes. */
async function trialFolder({ folder, scratch, model }: SearchInput, keptFloat: number): Promise<string> {
  const trial = join(scratch, `trial-${keptFloat}`);
  for (const { path } of model.files) {
    if (path === modelFileName) continue;
    await mkdir(dirname(join(trial, path)), { recursive: true });
    await copyFile(join(folder, path), join(trial, path));
  }
  await mkdir(trial, { recursive: true });
  return trial;
}

async function score(
  { signal, model }: SearchInput,
  folder: string,
  rows: readonly DataRow[],
): Promise<{ outcomes: RowOutcome[]; quality: number; sizeBytes: number; latencyMs: number }> {
  const scorer = await createScorer({ modelFolder: folder, signal });
  try {
    const features = rows.map((row) => row.features);
    const predictions = await scorer.score(features);
    const outcomes = rows.map(({ id, time, label, slices }, i): RowOutcome => {
      const { label: predicted, score: probability } = predictions[i]!;
      return { id, time, label, predicted, score: probability, slices };
    });
    const right = outcomes.filter(({ label, predicted }) => label === predicted).length;
    const { p50Ms } = await scorer.latency({ ...timed, rows: features.slice(-timed.samples) });
    return { outcomes, quality: right / outcomes.length, sizeBytes: model.sizeBytes, latencyMs: p50Ms };
  } finally {
    await scorer.close();
  }
}

function compare(
  int8: readonly RowOutcome[],
  float: readonly RowOutcome[],
  { signature: { task } }: ManifestOf<'Model'>,
): Pick<TrialFigures, 'loss' | 'lossUpper'> {
  const question = { metric: 'accuracy', direction: 'higher', allowance: { margin: 0 } } as const;
  const { estimate, lower } = comparePaired(question, int8, float, { task });
  return { loss: estimate === null ? null : 0 - estimate, lossUpper: lower === null ? null : 0 - lower };
}

async function readOutcomes(store: Store, digest: Digest): Promise<RowOutcome[]> {
  const lines = Buffer.from(await store.blobs.read(digest))
    .toString('utf8')
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => RowOutcome.parse(JSON.parse(line)));
}

/** Newest last; the id settles ties, so that the same data give the same rows. */
async function newestTrainRows(store: Store, dataset: Digest, most: number): Promise<DataRow[]> {
  const { segments } = await getManifest(store, dataset, 'Dataset');
  let newest: DataRow[] = [];
  const keepNewest = (): void => {
    newest.sort((a, b) => compareText(a.time, b.time) || compareText(a.id, b.id));
    newest = newest.slice(-most);
  };
  for (const { train } of segments) {
    for await (const row of readRows(store, train)) {
      newest.push(row);
      if (newest.length >= 2 * most + 1_000) keepNewest();
    }
  }
  keepNewest();
  return newest;
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
