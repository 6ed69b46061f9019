import { Readable } from 'node:stream';
import { log } from '@temporalio/activity';
import type { CyclePlan, EvaluateActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Evaluation, PairedLatency } from '../contracts/manifests.ts';
import type { GateSpec } from '../contracts/verdict.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { type DataRow, readRows } from './data/rows.ts';
import { evaluationOf, linesOf, type ProgramRun, programProblem } from './evaluate/manifest.ts';
import { NewestRows } from './evaluate/newest-rows.ts';
import { measureInTurns, rowsPerBlockOf } from './evaluate/paired-latency.ts';
import { evaluationJob } from './evaluate/program-job.ts';
import { readProgramOutput } from './evaluate/program-output.ts';
import { type Scored, score, timedRows } from './evaluate/scoring.ts';
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
        const evaluation = await evaluationOf(store, {
          ...{ model: digest, manifest: 'model' in opened ? opened.model : undefined, dataset },
          ...{ rowCount: rows.length, scored, run: program, output, gate },
          timeAgainst: async () => await latencies(gate, input, opened, rows, signal),
        });
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

const programName = (program: ProgramRun): string =>
  program === undefined ? '' : 'output' in program ? ` by ${program.output}` : ', its program failed';

async function scoreModel(
  opened: Opened | { problem: string },
  program: ProgramRun,
  rows: readonly DataRow[],
  { signal, onProgress }: { signal: AbortSignal; onProgress: (rowsDone: number) => void },
): Promise<Scored | { problem: string }> {
  if ('problem' in opened) return opened;
  return programProblem(program) ?? (await score({ modelFolder: opened.folder, signal }, rows, onProgress));
}

function summaryOf(
  digest: Digest,
  { servable, metrics }: Evaluation,
): Awaited<ReturnType<EvaluateActivities['evaluateModel']>> {
  const summary = Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]));
  return { evaluation: digest, servable, summary };
}
