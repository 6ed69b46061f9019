import { Readable } from 'node:stream';
import { log } from '@temporalio/activity';
import type { CyclePlan, EvaluateActivities, EvaluationRun } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Evaluation, PairedLatency } from '../contracts/manifests.ts';
import type { ModelSignature } from '../contracts/model.ts';
import type { GateSpec } from '../contracts/verdict.ts';
import { arithmeticHere } from '../onnx/quantize/instruction-set.ts';
import type { RowMeaning } from '../stats/scored-rows.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { type DataRow, readRows } from './data/rows.ts';
import { NewestRows } from './evaluate/newest-rows.ts';
import { contradiction, ownMetricsOf, reportedMetrics } from './evaluate/own-metrics.ts';
import { measureInTurns, rowsPerBlockOf } from './evaluate/paired-latency.ts';
import { evaluationJob } from './evaluate/program-job.ts';
import { badEvaluation, type ProgramOutput, readProgramOutput } from './evaluate/program-output.ts';
import { nothingScored, type Scored, score, timedRows } from './evaluate/scoring.ts';
import { ask } from './judging/judge.ts';
import type { ModelFolders } from './model-folders.ts';
import { keep, pinned } from './pins.ts';
import { pulse } from './pulse.ts';
import { gateOf, readSpec } from './spec.ts';
import { isUnreadable } from './unreadable.ts';

export interface EvaluateDeps {
  store: Store;
  models: ModelFolders;
}

type EvaluateInput = Parameters<EvaluateActivities['evaluateModel']>[0];
type Opened = Awaited<ReturnType<ModelFolders['open']>>;

const isInt8 = (opened: Opened | { problem: string }): boolean =>
  'model' in opened && opened.model.precision === 'int8';

export function createEvaluateActivities({ store, models }: EvaluateDeps): EvaluateActivities {
  return {
    async selectHoldout({ plan, dataset: digest }) {
      return await pulse(async () => {
        const { segments } = await getManifest(store, digest, 'Dataset');
        const newest = new NewestRows(plan.holdoutNewest);
        for (const segment of segments) for await (const row of readRows(store, segment.holdout)) newest.add(row);
        const rows = newest.inOrder();
        return { rows: await store.blobs.put(Readable.from(linesOf(rows))), rowCount: rows.length };
      });
    },

    async prepareEvaluation(input) {
      return await pulse(async () => await evaluationJob(store, input));
    },

    async evaluateModel(input) {
      const { plan, model: digest, dataset, rows: rowsDigest, program } = input;
      return await pulse(async (say, signal) => {
        const what = `evaluation of ${digest} on ${rowsDigest}${programName(program)}`;
        const before = await pinned(store, plan, what);
        if (before) return summaryOf(before, await getManifest(store, before, 'Evaluation'));

        const gate = gateOf((await readSpec(store, plan.specDigest)).spec);
        const rows: DataRow[] = [];
        for await (const row of readRows(store, rowsDigest)) rows.push(row);
        const output = program && 'output' in program ? await readProgramOutput(store, program, rows) : undefined;

        const opened = await open(plan, digest);
        const options = { signal, onProgress: (done: number) => say({ done, of: rows.length }) };
        const scored = await scoreModel(opened, program, rows, options);
        if ('problem' in scored)
          log.warn('not servable', { loop: plan.loop, cycle: plan.n, digest, problem: scored.problem });
        const { outcomes, latency } = withValues('problem' in scored ? nothingScored : scored, output);
        const { metrics, slices } = await measure(opened, outcomes, gate, input, output);
        const latencyAgainst = 'problem' in scored ? [] : await latencies(gate, input, opened, rows, signal);
        const evaluation: Evaluation = {
          kind: 'Evaluation',
          parents: [digest, dataset],
          createdAt: new Date().toISOString(),
          model: digest,
          dataset,
          outcomes: await store.blobs.put(Readable.from(linesOf(outcomes))),
          rowCount: rows.length,
          metrics,
          slices,
          latency,
          ...(latencyAgainst.length > 0 && { latencyAgainst }),
          sizeBytes: 'problem' in opened ? 0 : opened.model.sizeBytes,
          servable: !('problem' in scored),
          ...('problem' in scored && { problem: scored.problem.slice(0, 2_000) }),
          ...(isInt8(opened) && { arithmetic: await arithmeticHere() }),
          ...(program && 'output' in program && { program: recordOf(program) }),
        };
        return summaryOf(await keep(store, plan, what, evaluation), evaluation);
      });
    },
  };

  /** A candidate that cannot be read is trouble with the store; of the champion it is what there is to say about it. */
  async function open(plan: CyclePlan, digest: Digest): Promise<Opened | { problem: string }> {
    try {
      return await models.open(digest);
    } catch (error) {
      if (!isOpponent(plan, digest) || !isUnreadable(error)) throw error;
      return { problem: `${error.type}: ${error.message}` };
    }
  }

  async function measure(
    opened: Opened | { problem: string },
    outcomes: Scored['outcomes'],
    gate: GateSpec,
    { program }: EvaluateInput,
    output: ProgramOutput | undefined,
  ): Promise<Pick<Evaluation, 'metrics' | 'slices'>> {
    if ('problem' in opened) return { metrics: {}, slices: {} };
    const own = ownMetricsOf(gate);
    const measured = await ask('measure', { outcomes, meaning: meaningOf(opened.model.signature), own });
    if (!output || !program || !('output' in program)) return measured;
    const problem = contradiction(own, output.metrics, measured.metrics);
    if (problem !== undefined) throw badEvaluation(program, problem);
    return { ...measured, metrics: { ...measured.metrics, ...reportedMetrics(own, output.metrics, outcomes.length) } };
  }

  /** Against whom the gate compares latencies; a model that cannot be measured beside this one is left out. */
  async function latencies(
    gate: GateSpec,
    { plan, model }: EvaluateInput,
    ours: Opened | { problem: string },
    rows: readonly DataRow[],
    signal: AbortSignal,
  ): Promise<PairedLatency[]> {
    const rowsPerBlock = rowsPerBlockOf(gate);
    if (rowsPerBlock === undefined || rows.length === 0 || 'problem' in ours || isOpponent(plan, model)) return [];
    const timed = { rows: timedRows(rows), rowsPerBlock };
    const measured: PairedLatency[] = [];
    for (const other of new Set(gate.against.flatMap((name) => plan[name]?.digest ?? []))) {
      try {
        const { folder } = await models.open(other);
        measured.push({ other, ...(await measureInTurns([ours.folder, folder], timed, signal)) });
      } catch (error) {
        signal.throwIfAborted();
        log.warn('latency not compared', { loop: plan.loop, cycle: plan.n, other, problem: (error as Error).message });
      }
    }
    return measured;
  }
}

const isOpponent = ({ champion, anchor }: CyclePlan, model: Digest): boolean =>
  model === champion?.digest || model === anchor?.digest;

const recordOf = ({ job, jobSpec, output }: EvaluationRun): Evaluation['program'] => ({ job, jobSpec, output });

const programName = (program: EvaluateInput['program']): string =>
  program === undefined ? '' : 'output' in program ? ` by ${program.output}` : ', its program failed';

async function scoreModel(
  opened: Opened | { problem: string },
  program: EvaluateInput['program'],
  rows: readonly DataRow[],
  { signal, onProgress }: { signal: AbortSignal; onProgress: (rowsDone: number) => void },
): Promise<Scored | { problem: string }> {
  if ('problem' in opened) return opened;
  if (program && 'problem' in program) return { problem: `the evaluation program failed on it: ${program.problem}` };
  return await score({ modelFolder: opened.folder, signal }, rows, onProgress);
}

/** What the program says about a row stands beside what the model answered to it. */
function withValues({ outcomes, latency }: Scored, output: ProgramOutput | undefined): Scored {
  if (!output) return { outcomes, latency };
  return { outcomes: outcomes.map((outcome) => ({ ...outcome, values: output.rows.get(outcome.id)! })), latency };
}

function summaryOf(
  digest: Digest,
  { servable, metrics }: Evaluation,
): Awaited<ReturnType<EvaluateActivities['evaluateModel']>> {
  const summary = Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]));
  return { evaluation: digest, servable, summary };
}

/** For two classes the second label is the positive one. */
export const meaningOf = ({ task, labels }: ModelSignature): RowMeaning => ({
  task,
  ...(task === 'binary-classification' && labels[1] !== undefined && { positive: labels[1] }),
});

/** JSONL, a chunk per line: large sets never lie in memory twice. An empty set is an empty blob. */
function* linesOf(values: readonly object[]): Iterable<Buffer> {
  for (const value of values) yield Buffer.from(`${JSON.stringify(value)}\n`);
}
