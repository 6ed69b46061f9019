import type { GateActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { type Evaluation, type MetricValue, RowOutcome } from '../contracts/manifests.ts';
import { GateSpec } from '../contracts/verdict.ts';
import { comparePaired } from '../stats/paired.ts';
import { chooseContestant } from '../stats/quantization-choice.ts';
import { decideVerdict, type JudgedModel } from '../stats/verdict.ts';
import { getManifest, putJson, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { meaningOf } from './evaluate.ts';
import { pin } from './pins.ts';
import { pulse } from './pulse.ts';
import { gateOf, readSpec } from './spec.ts';

/** What an evaluation left, as the verdict reads it; `verdict replay` reads the same. */
export async function judgedModel(store: Store, evaluation: Evaluation): Promise<JudgedModel> {
  const lines = Buffer.from(await store.blobs.read(evaluation.outcomes as Digest))
    .toString('utf8')
    .split('\n');
  const outcomes = lines.filter((line) => line !== '').map((line) => RowOutcome.parse(JSON.parse(line)));
  const { latency, sizeBytes, servable } = evaluation;
  return { outcomes, latency, sizeBytes, servable };
}

export function createGateActivities({ store }: { store: Store }): GateActivities {
  return {
    async decideGate({ plan, candidate, int8, champion, anchor }) {
      return await pulse(async () => {
        const { spec } = await readSpec(store, plan.specDigest);
        const gate = gateOf(spec);
        const gateDigest = await putJson(store, GateSpec, gate);
        const { signature } = await getManifest(store, candidate.model, 'Model');
        const meaning = meaningOf(signature);
        const open = async (contestant: { evaluation: Digest } | null) => {
          if (!contestant) return undefined;
          const evaluation = await getManifest(store, contestant.evaluation, 'Evaluation');
          return { evaluation, judged: await judgedModel(store, evaluation) };
        };
        const [float, small, before, pinnedOne] = [
          await open(candidate),
          await open(int8),
          await open(champion),
          await open(anchor),
        ];
        const against = { ...(before && { champion: before.judged }), ...(pinnedOne && { anchor: pinnedOne.judged }) };
        const judge = (contestant: JudgedModel) =>
          decideVerdict({ gate, candidate: contestant, ...against, ...meaning });

        const fp32 = judge(float!.judged);
        const limit = -(plan.quantizeMargin ?? 0);
        const loss =
          small?.judged.servable && float!.judged.servable
            ? comparePaired(
                { metric: 'accuracy', direction: 'higher', allowance: { margin: -limit } },
                small.judged.outcomes,
                float!.judged.outcomes,
                meaning,
              )
            : undefined;
        const choice = chooseContestant({
          fp32,
          ...(small && { int8: judge(small.judged) }),
          ...(loss && { int8VsFp32: { estimate: loss.estimate, lower: loss.lower, limit } }),
        });
        const [shipped, facts] =
          choice.precision === 'int8' ? [int8!, small!.evaluation] : [candidate, float!.evaluation];

        const verdict = await putManifest(store, {
          kind: 'Verdict',
          parents: [
            shipped.model,
            ...[champion, anchor].flatMap((m) => (m && m.model !== shipped.model ? [m.model] : [])),
          ].filter(unique),
          createdAt: new Date().toISOString(),
          candidate: shipped.model,
          champion: champion?.model ?? null,
          anchor: anchor?.model ?? null,
          evaluations: [candidate, int8, champion, anchor].flatMap((m) => (m ? [m.evaluation] : [])).filter(unique),
          gate: gateDigest,
          verdict: choice.verdict,
        });
        await pin(store, plan, 'verdict', verdict);
        return {
          result: choice.verdict.result,
          verdict,
          candidate: shipped.model,
          precision: choice.precision,
          reasons: [...choice.verdict.reasons.slice(0, 4), choice.reason].map((reason) => reason.slice(0, 500)),
          rowsNeeded: choice.verdict.rowsNeeded,
          evaluation: shipped.evaluation,
          championEvaluation: champion?.evaluation ?? null,
          summary: spec.gate.metrics
            .map(({ metric }) => metric)
            .filter(unique)
            .map((metric) => [
              metric,
              show(measured(facts, metric)),
              before ? show(measured(before.evaluation, metric)) : '–',
            ]),
        };
      });
    },
  };
}

const unique = <T>(value: T, index: number, all: T[]): boolean => all.indexOf(value) === index;

function measured({ metrics, latency, sizeBytes }: Evaluation, metric: string): MetricValue | number | undefined {
  const operational: Record<string, number> = {
    latencyP50: latency.p50Ms,
    latencyP95: latency.p95Ms,
    latencyP99: latency.p99Ms,
    sizeBytes,
  };
  return operational[metric] ?? metrics[metric];
}

function show(value: MetricValue | number | undefined): string {
  if (value === undefined) return '–';
  if (typeof value === 'number') return value.toPrecision(4);
  if (value.value === null) return 'not defined';
  return `${value.value.toFixed(4)} [${value.lower?.toFixed(4)}, ${value.upper?.toFixed(4)}]`;
}
