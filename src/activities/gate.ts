import type { GateActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { type Evaluation, type MetricValue, RowOutcome } from '../contracts/manifests.ts';
import { GateSpec } from '../contracts/verdict.ts';
import { comparePaired } from '../stats/paired.ts';
import { chooseContestant } from '../stats/quantization-choice.ts';
import type { RowMeaning } from '../stats/scored-rows.ts';
import { decideVerdict, type JudgedModel } from '../stats/verdict.ts';
import { InvalidInput } from '../store/errors.ts';
import { getManifest, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { meaningOf } from './evaluate.ts';
import { keep } from './pins.ts';
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
        const { signature } = await getManifest(store, candidate.model, 'Model');
        const meaning = meaningOf(signature);
        const opened = {
          fp32: await open(store, candidate),
          int8: int8 && (await open(store, int8)),
          champion: champion && (await open(store, champion)),
          anchor: anchor && (await open(store, anchor)),
        };
        const opponents = {
          ...opponent('champion', opened.champion, gate),
          ...opponent('anchor', opened.anchor, gate),
        };
        const judge = (contestant: JudgedModel) =>
          decideVerdict({ gate, candidate: contestant, ...opponents, ...meaning });

        const margin = plan.quantizeMargin ?? 0;
        const loss = opened.int8 && accuracyLoss(opened.int8.judged, opened.fp32.judged, margin, meaning);
        const choice = chooseContestant({
          fp32: judge(opened.fp32.judged),
          ...(opened.int8 && { int8: judge(opened.int8.judged) }),
          ...(loss && { int8VsFp32: { estimate: loss.estimate, lower: loss.lower, limit: 0 - margin } }),
        });
        const [shipped, { evaluation }] =
          choice.precision === 'int8' ? [int8!, opened.int8!] : [candidate, opened.fp32];

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
            .map((metric) => [metric, show(evaluation, metric), show(opened.champion?.evaluation, metric)]),
        };
      });
    },
  };
}

interface Opened {
  evaluation: Evaluation;
  judged: JudgedModel;
}

async function open(store: Store, { evaluation: digest }: { evaluation: Digest }): Promise<Opened> {
  const evaluation = await getManifest(store, digest, 'Evaluation');
  return { evaluation, judged: await judgedModel(store, evaluation) };
}

/** Who stands against the candidate. What cannot be scored cannot be compared with, and the gate does not guess. */
function opponent(
  name: 'champion' | 'anchor',
  opened: Opened | null,
  { against }: GateSpec,
): Partial<Record<typeof name, JudgedModel>> {
  if (!opened) return {};
  const { evaluation, judged } = opened;
  if (!judged.servable && against.includes(name))
    throw new InvalidInput(
      `the ${name} ${evaluation.model} cannot be scored on the hold-out, so nothing can be compared with it. If the features have changed, take "${name}" out of gate.against for one cycle`,
    );
  return { [name]: judged };
}

const accuracyLoss = (int8: JudgedModel, fp32: JudgedModel, margin: number, meaning: RowMeaning) =>
  int8.servable && fp32.servable
    ? comparePaired(
        { metric: 'accuracy', direction: 'higher', allowance: { margin } },
        int8.outcomes,
        fp32.outcomes,
        meaning,
      )
    : undefined;

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

function shown(value: MetricValue | number | undefined): string {
  if (value === undefined) return '–';
  if (typeof value === 'number') return value.toPrecision(4);
  if (value.value === null) return 'not defined';
  const [lower, upper] = [value.lower, value.upper].map((bound) => bound?.toFixed(4) ?? '?');
  return `${value.value.toFixed(4)} [${lower}, ${upper}]`;
}
