import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataRow } from '../activities/data/rows.ts';
import { evaluationOf, programProblem } from '../activities/evaluate/manifest.ts';
import { measureInTurns, rowsPerBlockOf } from '../activities/evaluate/paired-latency.ts';
import { readProgramOutput } from '../activities/evaluate/program-output.ts';
import { score, timedRows } from '../activities/evaluate/scoring.ts';
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
    const scored = programProblem(run) ?? (await score({ modelFolder: folder, signal }, rows, () => {}));
    const timeAgainst = async (): Promise<PairedLatency[]> => {
      const rowsPerBlock = rowsPerBlockOf(gate);
      const times: PairedLatency[] = [];
      for (const opponent of rowsPerBlock === undefined ? [] : against) {
        const opponentFolder = join(other, opponent.slice(-64));
        await materialise(store, (await getManifest(store, opponent, 'Model')).files, opponentFolder);
        const timed = { rows: timedRows(rows), rowsPerBlock: rowsPerBlock! };
        times.push({ other: opponent, ...(await measureInTurns([folder, opponentFolder], timed, signal)) });
      }
      return times;
    };
    return await evaluationOf(store, {
      ...{ model: digest, manifest: model, dataset, rowCount: rows.length },
      ...{ scored, run, output, gate, timeAgainst },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(other, { recursive: true, force: true });
  }
}
