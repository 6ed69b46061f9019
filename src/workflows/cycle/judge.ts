import { upsertSearchAttributes } from '@temporalio/workflow';
import type { GateResult, SnapshotResult } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import { searchAttributes } from '../../contracts/search-attributes.ts';
import { heavy } from '../proxies.ts';
import { evaluate } from './evaluate.ts';
import { type CycleRun, enter } from './run.ts';

/** Step 6: every contestant on the same rows, then the verdict. */
export async function evaluateAndJudge(run: CycleRun, { dataset }: SnapshotResult, model: Digest): Promise<GateResult> {
  const { cycle, plan, known } = run;
  enter(cycle, 'evaluate', 'the hold-out scores');
  const { rows, rowCount } = await heavy.selectHoldout({ plan, dataset });
  cycle.learn('hold-out', `${rowCount} rows`);
  const on = { dataset, rows };
  const candidate = await evaluate(run, on, { name: 'candidate', model, mustBeScored: true });
  const opponent = async (name: string, digest: Digest) =>
    await evaluate(run, on, { name, model: digest, mustBeScored: false });
  const champion = plan.champion && (await opponent('champion', plan.champion.digest));
  const anchor =
    plan.anchor && (plan.anchor.digest === champion?.model ? champion : await opponent('anchor', plan.anchor.digest));

  let int8: typeof candidate | null = null;
  if (plan.quantizeMargin !== null && candidate.servable) {
    enter(cycle, 'quantize', 'the int8 contestant');
    const quantized = await heavy.quantizeModel({ plan, model });
    if (quantized.quantized > 0) {
      const contestant = { name: 'candidate, int8', model: quantized.model, mustBeScored: false };
      int8 = await evaluate(run, on, contestant);
    }
    const ratio = (quantized.sizeBytes / quantized.sizeBefore).toFixed(2);
    cycle.learn('int8', int8 ? `${ratio} of the fp32 size` : 'nothing in it can be quantized');
  }

  enter(cycle, 'gate', 'the verdict');
  const verdict = await heavy.decideGate({ plan, candidate, int8, champion, anchor });
  upsertSearchAttributes([{ key: searchAttributes.verdict, value: verdict.result }]);
  cycle.learn('verdict', `**${verdict.result}** (${verdict.precision}): ${verdict.reasons[0]}`);
  for (const [metric, ours, theirs] of verdict.summary) cycle.learn(metric, `${ours} (champion ${theirs})`);
  known.verdict = verdict.verdict;
  known.verdictResult = verdict.result;
  known.candidate = verdict.candidate;
  known.precision = verdict.precision;
  return verdict;
}
