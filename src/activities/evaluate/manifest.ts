import { Readable } from 'node:stream';
import type { EvaluationRun } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { Evaluation, Model, PairedLatency } from '../../contracts/manifests.ts';
import type { ModelSignature } from '../../contracts/model.ts';
import type { GateSpec } from '../../contracts/verdict.ts';
import { arithmeticHere } from '../../onnx/quantize/instruction-set.ts';
import type { RowMeaning } from '../../stats/scored-rows.ts';
import type { Store } from '../../store/types.ts';
import { ask } from '../judging/judge.ts';
import { contradiction, ownMetricsOf, reportedMetrics } from './own-metrics.ts';
import { badEvaluation, type ProgramOutput } from './program-output.ts';
import { nothingScored, type Scored } from './scoring.ts';

/** What the user's evaluation program came to; undefined: there is none. */
export type ProgramRun = EvaluationRun | { problem: string } | undefined;

export interface Examined {
  model: Digest;
  /** Undefined: it cannot be opened. */
  manifest: Model | undefined;
  dataset: Digest;
  rowCount: number;
  scored: Scored | { problem: string };
  run: ProgramRun;
  /** Of a run that succeeded. */
  output: ProgramOutput | undefined;
  gate: GateSpec;
  /** Measured last, when nothing else can refuse the model; not of one that is not servable. */
  timeAgainst: () => Promise<PairedLatency[]>;
}

/** Why there is nothing to score, where the program has failed on the model. */
export const programProblem = (run: ProgramRun): { problem: string } | undefined =>
  run && 'problem' in run ? { problem: `the evaluation program failed on it: ${run.problem}` } : undefined;

/** One model on rows: its outcomes go to the store, with metrics, slices, latency and what made them. */
export async function evaluationOf(store: Store, examined: Examined): Promise<Evaluation> {
  const { model, manifest, dataset, rowCount, scored, run, output, timeAgainst } = examined;
  const { outcomes: plain, latency } = 'problem' in scored ? nothingScored : scored;
  // What the program says about a row stands beside what the model answered to it.
  const outcomes = output ? plain.map((row) => ({ ...row, values: output.rows.get(row.id)! })) : plain;
  const { metrics, slices } = await measured(examined, outcomes);
  const latencyAgainst = 'problem' in scored ? [] : await timeAgainst();
  return {
    kind: 'Evaluation',
    parents: [model, dataset],
    createdAt: new Date().toISOString(),
    ...{ model, dataset },
    outcomes: await store.blobs.put(Readable.from(linesOf(outcomes))),
    ...{ rowCount, metrics, slices, latency },
    ...(latencyAgainst.length > 0 && { latencyAgainst }),
    sizeBytes: manifest?.sizeBytes ?? 0,
    servable: !('problem' in scored),
    ...('problem' in scored && { problem: scored.problem.slice(0, 2_000) }),
    ...(manifest?.precision === 'int8' && { arithmetic: await arithmeticHere() }),
    ...(run && 'output' in run && { program: { job: run.job, jobSpec: run.jobSpec, output: run.output } }),
  };
}

async function measured(
  { manifest, gate, run, output }: Examined,
  outcomes: Scored['outcomes'],
): Promise<Pick<Evaluation, 'metrics' | 'slices'>> {
  if (!manifest) return { metrics: {}, slices: {} };
  const own = ownMetricsOf(gate);
  const ours = await ask('measure', { outcomes, meaning: meaningOf(manifest.signature), own });
  if (!output || !run || !('output' in run)) return ours;
  const problem = contradiction(own, output.metrics, ours.metrics);
  if (problem !== undefined) throw badEvaluation(run, problem);
  return { ...ours, metrics: { ...ours.metrics, ...reportedMetrics(own, output.metrics, outcomes.length) } };
}

/** For two classes the second label is the positive one. */
export const meaningOf = ({ task, labels }: ModelSignature): RowMeaning => ({
  task,
  ...(task === 'binary-classification' && labels[1] !== undefined && { positive: labels[1] }),
});

/** JSONL, a chunk per line: large sets never lie in memory twice. An empty set is an empty blob. */
export function* linesOf(values: readonly object[]): Iterable<Buffer> {
  for (const value of values) yield Buffer.from(`${JSON.stringify(value)}\n`);
}
