import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DataRow } from '../activities/data/rows.ts';
import { contradiction, ownMetricsOf, reportedMetrics } from '../activities/evaluate/own-metrics.ts';
import { measureInTurns, rowsPerBlockOf } from '../activities/evaluate/paired-latency.ts';
import { badEvaluation, readProgramOutput } from '../activities/evaluate/program-output.ts';
import { nothingScored, score, timedRows } from '../activities/evaluate/scoring.ts';
import { meaningOf } from '../activities/evaluate.ts';
import { ask } from '../activities/judging/judge.ts';
import type { EvaluationRun } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Evaluation, Model, PairedLatency } from '../contracts/manifests.ts';
import type { GateSpec } from '../contracts/verdict.ts';
import { materialise } from '../store/folders.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** The user's evaluation program on one model. */
export type RunsProgram = (model: Model, rows: Digest) => Promise<EvaluationRun | { problem: string }>;

export interface EvaluationHere {
  store: Store;
  dataset: Digest;
  rows: readonly DataRow[];
  /** The same rows as a blob. */
  rowsDigest: Digest;
  gate: GateSpec;
  /** Absent: the loop has no evaluation program. */
  program?: RunsProgram;
  scratch: string;
  signal: AbortSignal;
}

/**
 * One model on rows, as a cycle evaluates it: outcomes, metrics, latency, the user's program. The cycle does it in
 * activities, with pins and heartbeats; a promotion has no cycle, and its own log.
 * @param against models that the gate compares latencies with, in turns
 */
export async function evaluateHere(
  { store, dataset, rows, rowsDigest, gate, program, scratch, signal }: EvaluationHere,
  digest: Digest,
  against: readonly Digest[],
): Promise<Evaluation> {
  const model = await getManifest(store, digest, 'Model');
  const folder = await mkdtemp(join(scratch, 'model-'));
  const other = await mkdtemp(join(scratch, 'other-'));
  try {
    await materialise(store, model.files, folder);
    const run = await program?.(model, rowsDigest);
    const output = run && 'output' in run ? await readProgramOutput(store, run, rows) : undefined;
    const scored =
      run && 'problem' in run
        ? { problem: `the evaluation program failed on it: ${run.problem}` }
        : await score({ modelFolder: folder, signal }, rows, () => {});
    const { outcomes: plain, latency } = 'problem' in scored ? nothingScored : scored;
    const outcomes = output ? plain.map((row) => ({ ...row, values: output.rows.get(row.id)! })) : plain;
    const own = ownMetricsOf(gate);
    const measured = await ask('measure', { outcomes, meaning: meaningOf(model.signature), own });
    if (output && run && 'output' in run) {
      const problem = contradiction(own, output.metrics, measured.metrics);
      if (problem !== undefined) throw badEvaluation(run, problem);
      Object.assign(measured.metrics, reportedMetrics(own, output.metrics, outcomes.length));
    }
    const latencyAgainst: PairedLatency[] = [];
    const rowsPerBlock = rowsPerBlockOf(gate);
    for (const opponent of 'problem' in scored || rowsPerBlock === undefined ? [] : against) {
      await materialise(store, (await getManifest(store, opponent, 'Model')).files, join(other, opponent.slice(-64)));
      const folders: [string, string] = [folder, join(other, opponent.slice(-64))];
      const timed = { rows: timedRows(rows), rowsPerBlock: rowsPerBlock! };
      latencyAgainst.push({ other: opponent, ...(await measureInTurns(folders, timed, signal)) });
    }
    return {
      kind: 'Evaluation',
      parents: [digest, dataset],
      createdAt: new Date().toISOString(),
      model: digest,
      dataset,
      outcomes: await store.blobs.put(Readable.from(outcomes.map((o) => Buffer.from(`${JSON.stringify(o)}\n`)))),
      rowCount: rows.length,
      ...measured,
      latency,
      ...(latencyAgainst.length > 0 && { latencyAgainst }),
      sizeBytes: model.sizeBytes,
      servable: !('problem' in scored),
      ...('problem' in scored && { problem: scored.problem.slice(0, 2_000) }),
      ...(run && 'output' in run && { program: { job: run.job, jobSpec: run.jobSpec, output: run.output } }),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(other, { recursive: true, force: true });
  }
}
