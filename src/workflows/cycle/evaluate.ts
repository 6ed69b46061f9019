import { ActivityFailure, ApplicationFailure, isCancellation } from '@temporalio/workflow';
import type { CyclePlan, EvaluateActivities, EvaluationRun } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import { failureTypes } from '../../contracts/failures.ts';
import { heavy } from '../proxies.ts';
import { rootCause } from '../root-cause.ts';
import { type CycleRun, enter, park } from './run.ts';
import { runJob } from './run-job.ts';

/** One model to score. */
export interface Contestant {
  /** For people. */
  name: string;
  model: Digest;
  /** Without an answer about it the cycle cannot go on: a person repairs the program. Of the others, it is the answer. */
  mustBeScored: boolean;
}
type Scored = { model: Digest } & Awaited<ReturnType<EvaluateActivities['evaluateModel']>>;

/**
 * Scores a model on rows that are the same for all. Where the user has an evaluation program, it runs first, as a job; a
 * program that fails on the candidate parks the cycle, and one that fails on another model makes that one "cannot be
 * scored", which never passes a gate.
 */
export async function evaluate(
  run: CycleRun,
  { dataset, rows }: { dataset: Digest; rows: Digest },
  { name, model, mustBeScored }: Contestant,
): Promise<Scored> {
  const { cycle, plan } = run;
  const score = async (program?: EvaluationRun | { problem: string }): Promise<Scored> => ({
    model,
    ...(await heavy.evaluateModel.executeWithOptions({ summary: name }, [
      { plan, model, dataset, rows, ...(program && { program }) },
    ])),
  });
  if (!plan.evaluation) return await score();

  let firstAttempt = 1;
  let { resources } = plan.evaluation;
  while (true) {
    const tried = await runProgram(run, { name, model, rows }, plan.evaluation, resources, firstAttempt);
    let { problem } = tried;
    if (tried.left) {
      try {
        return await score(tried.left);
      } catch (error) {
        if (!isBadEvaluation(error)) throw error;
        problem = rootCause(error);
      }
    }
    if (!mustBeScored) return await score({ problem });
    cycle.learn('evaluation failed', problem);
    const word = await park(run, { kind: 'retry' }, `the evaluation failed: ${problem}`, [
      `goto3 cycle retry ${plan.loop}/${plan.n} --reason "..."`,
      `goto3 job logs ${tried.attempt}`,
    ]);
    if (word.kind === 'retry') resources = { ...resources, ...word.resources };
    firstAttempt = tried.nextAttempt;
    enter(cycle, 'evaluate', `the hold-out score of the ${name}, again`);
  }
}

interface Tried {
  left: EvaluationRun | null;
  /** Why there is nothing left; empty when there is. */
  problem: string;
  /** Name of the attempt that was the last. */
  attempt: string;
  nextAttempt: number;
}

async function runProgram(
  { plan, known }: CycleRun,
  { name, model, rows }: { name: string; model: Digest; rows: Digest },
  { maxResources }: NonNullable<CyclePlan['evaluation']>,
  resources: CyclePlan['resources'],
  firstAttempt: number,
): Promise<Tried> {
  let prepared: Awaited<ReturnType<EvaluateActivities['prepareEvaluation']>>;
  try {
    prepared = await heavy.prepareEvaluation({ plan, model, rows });
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    return {
      left: null,
      problem: rootCause(error),
      attempt: `${plan.loop}/${plan.n}/evaluate`,
      nextAttempt: firstAttempt,
    };
  }
  const { key, specDigest } = prepared;
  const result = await runJob(
    { key, specDigest, queue: 'gpu', resources, maxResources, firstAttempt },
    `evaluation of the ${name}, ${plan.loop}, cycle ${plan.n}`,
  );
  known.gpuHours = (known.gpuHours ?? 0) + result.gpuHours;
  const end = { attempt: `${key}/${result.lastAttempt}`, nextAttempt: result.lastAttempt + 1 };
  if (result.state === 'succeeded' && result.output) {
    const left = { job: end.attempt, jobSpec: specDigest, output: result.output, lastLines: result.lastLines ?? '' };
    return { ...end, left, problem: '' };
  }
  return { ...end, left: null, problem: `${result.failureClass ?? 'userError'}: ${result.reason}` };
}

const isBadEvaluation = (error: unknown): boolean =>
  error instanceof ActivityFailure &&
  error.cause instanceof ApplicationFailure &&
  error.cause.type === failureTypes.badEvaluation;
