import type { GateActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { LoopSpec } from '../contracts/loop-spec.ts';
import { type Evaluation, type MetricValue, RowOutcome } from '../contracts/manifests.ts';
import { GateSpec } from '../contracts/verdict.ts';
import { recordedArithmetic, whyVerdictDoesNotCount } from '../onnx/quantize/instruction-set.ts';
import type { PairedQuestion } from '../stats/paired.ts';
import { chooseContestant, type QuantizationLoss } from '../stats/quantization-choice.ts';
import type { JudgedModel, VerdictInput } from '../stats/verdict.ts';
import { getManifest, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { meaningOf } from './evaluate/manifest.ts';
import { ask } from './judging/judge.ts';
import { keep } from './pins.ts';
import { pulse } from './pulse.ts';
import { gateOf, readSpec } from './spec.ts';

/** What an evaluation left, as the verdict reads it; `verdict replay` reads the same. */
async function judgedModel(store: Store, evaluation: Evaluation, opponents: Opponents): Promise<JudgedModel> {
  const lines = Buffer.from(await store.blobs.read(evaluation.outcomes as Digest))
    .toString('utf8')
    .split('\n');
  const outcomes = lines.filter((line) => line !== '').map((line) => RowOutcome.parse(JSON.parse(line)));
  const { latency, sizeBytes, servable, problem, latencyAgainst = [] } = evaluation;
  const inTurnsWith = (model: Digest | null) => latencyAgainst.find(({ other }) => other === model);
  const [champion, anchor] = [inTurnsWith(opponents.champion), inTurnsWith(opponents.anchor)];
  return {
    outcomes,
    latency,
    latencyAgainst: { ...(champion && { champion }), ...(anchor && { anchor }) },
    sizeBytes,
    servable,
    ...(problem !== undefined && { problem }),
  };
}

/** Digests of the models that a candidate is held against. */
interface Opponents {
  champion: Digest | null;
  anchor: Digest | null;
}

/** Everything that a verdict is a function of, from evaluations by role. */
export async function verdictInput(
  store: Store,
  gate: GateSpec,
  evaluations: { candidate: Evaluation; champion: Evaluation | null; anchor: Evaluation | null },
): Promise<VerdictInput> {
  const { candidate, champion, anchor } = evaluations;
  const opponents = { champion: champion?.model ?? null, anchor: anchor?.model ?? null };
  const judged = async (evaluation: Evaluation) => await judgedModel(store, evaluation, opponents);
  const { signature } = await getManifest(store, candidate.model, 'Model');
  return {
    gate,
    candidate: await judged(candidate),
    ...(champion && { champion: await judged(champion) }),
    ...(anchor && { anchor: await judged(anchor) }),
    ...meaningOf(signature),
  };
}

export function createGateActivities({ store }: { store: Store }): GateActivities {
  return {
    async decideGate({ plan, candidate, int8, champion, anchor }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const gate = gateOf(spec);
        const opened = {
          fp32: await evaluationOf(store, candidate),
          int8: int8 && (await evaluationOf(store, int8)),
          champion: champion && (await evaluationOf(store, champion)),
          anchor: anchor && (await evaluationOf(store, anchor)),
        };
        const inputOf = async (contestant: Evaluation) =>
          await verdictInput(store, gate, { ...opened, candidate: contestant });
        const fp32Input = await inputOf(opened.fp32);
        const int8Input = opened.int8 && (await inputOf(opened.int8));
        const loss = int8Input && (await quantizationLoss(spec, int8Input, fp32Input));
        const notCounted = opened.int8 ? await whyInt8DoesNotCount(store, opened.int8) : undefined;
        const choice = chooseContestant({
          fp32: await ask('judge', fp32Input),
          ...(int8Input && { int8: await ask('judge', int8Input) }),
          ...(loss && { int8VsFp32: loss }),
          ...(notCounted !== undefined && { int8DoesNotCount: notCounted }),
        });
        const [shipped, evaluation] = choice.precision === 'int8' ? [int8!, opened.int8!] : [candidate, opened.fp32];

        const others = [champion, anchor].flatMap((m) => (m ? [m.model] : []));
        const verdict = await keep(store, plan, 'verdict', {
          kind: 'Verdict',
          parents: [shipped.model, ...others].filter(unique),
          createdAt: new Date().toISOString(),
          candidate: shipped.model,
          champion: champion?.model ?? null,
          anchor: anchor?.model ?? null,
          evaluations: [candidate, int8, champion, anchor].flatMap((m) => (m ? [m.evaluation] : [])).filter(unique),
          gate: await putJson(store, GateSpec, gate),
          verdict: choice.verdict,
        });
        const show = (of: Evaluation | undefined, metric: string) => (of ? shown(measured(of, metric)) : '–');
        return {
          result: choice.verdict.result,
          verdict,
          candidate: shipped.model,
          precision: choice.precision,
          reasons: [...choice.verdict.reasons.slice(0, 4), choice.reason].map((reason) => reason.slice(0, 500)),
          rowsNeeded: choice.verdict.rowsNeeded,
          evaluation: shipped.evaluation,
          championEvaluation: champion?.evaluation ?? null,
          summary: gate.metrics
            .map(({ metric }) => metric)
            .filter(unique)
            .map((metric) => [metric, show(evaluation, metric), show(opened.champion ?? undefined, metric)]),
        };
      });
    },
  };
}

const evaluationOf = async (store: Store, { evaluation }: { evaluation: Digest }): Promise<Evaluation> =>
  await getManifest(store, evaluation, 'Evaluation');

/** The CPU that scored the int8 model may sum other integers than the one it was made for; undefined when it does not. */
async function whyInt8DoesNotCount(store: Store, { model, arithmetic }: Evaluation): Promise<string | undefined> {
  const { quantization } = await getManifest(store, model, 'Model');
  if (quantization === undefined || arithmetic === undefined) return undefined;
  const { weightBits } = quantization;
  return whyVerdictDoesNotCount(recordedArithmetic({ ...arithmetic, weightBits }), recordedArithmetic(quantization));
}

/** What int8 loses against the float model that it was made from: accuracy in points, or a share of the RMSE. */
async function quantizationLoss(
  { quantize, data }: LoopSpec,
  int8: VerdictInput,
  fp32: VerdictInput,
): Promise<QuantizationLoss | undefined> {
  if (quantize === 'never' || !int8.candidate.servable || !fp32.candidate.servable) return undefined;
  const question: PairedQuestion =
    data.task === 'regression'
      ? { metric: 'rmse', direction: 'lower', allowance: { worseBy: quantize.worseBy ?? 0 } }
      : { metric: 'accuracy', direction: 'higher', allowance: { margin: quantize.margin ?? 0 } };
  const { task, positive } = fp32;
  const { estimate, lower, limit } = await ask('compare', {
    question,
    candidate: int8.candidate.outcomes,
    other: fp32.candidate.outcomes,
    meaning: { task, ...(positive !== undefined && { positive }) },
  });
  return { metric: data.task === 'regression' ? 'rmse' : 'accuracy', estimate, lower, limit };
}

const unique = <T>(value: T, index: number, all: T[]): boolean => all.indexOf(value) === index;

function measured({ metrics, latency, sizeBytes }: Evaluation, metric: string): MetricValue | number | undefined {
  const operational: Record<string, number> = {
    latencyP50: latency.p50Ms,
    latencyP95: latency.p95Ms,
    latencyP99: latency.p99Ms,
    sizeBytes,
  };
  return Object.hasOwn(operational, metric) ? operational[metric] : metrics[metric];
}

function shown(value: MetricValue | number | undefined): string {
  if (value === undefined) return '–';
  if (typeof value === 'number') return value.toPrecision(4);
  if (value.value === null) return 'not defined';
  const [lower, upper] = [value.lower, value.upper].map((bound) => bound?.toFixed(4) ?? '?');
  return `${value.value.toFixed(4)} [${lower}, ${upper}]`;
}
