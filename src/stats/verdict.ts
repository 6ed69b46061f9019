import type { RowOutcome } from '../contracts/manifests.ts';
import type { GateMetric, GateSpec, Verdict } from '../contracts/verdict.ts';
import { gateAlpha } from './confidence.ts';
import { StatsInputError } from './errors.ts';
import { type Contest, type Opponent, questionsOf, type TestedBound, unknownBound } from './gate-questions.ts';
import { holmRejects } from './holm.ts';
import { type Operational, operationalBounds } from './operational-bounds.ts';
import { rowBounds } from './row-bounds.ts';
import { type RowMeaning, requireSameRows, type ScoredRows, scoredRows, unscoredRows } from './scored-rows.ts';
import { explain, notServable } from './verdict-reasons.ts';
import { rowMetricOf } from './weighted-metrics.ts';

/** What an evaluation says about one model. */
export interface JudgedModel extends Operational {
  outcomes: readonly RowOutcome[];
  /** It loaded in a child process and answered. */
  servable: boolean;
  /** Why not. */
  problem?: string;
}

export interface VerdictInput extends RowMeaning {
  gate: GateSpec;
  candidate: JudgedModel;
  champion?: JudgedModel;
  /** The last version that a person approved. */
  anchor?: JudgedModel;
}

/**
 * The gate (DESIGN §5). Pure: the same input gives the same bytes, whatever the order of the rows.
 *
 * - Pass: every bound holds at one-sided 5 %, uncorrected. All must hold, so the chance to promote a model that violates
 *   even one of them stays at 5 % (intersection–union test: R. Berger, Technometrics 24 (1982) 295–300).
 * - Fail: a bound lies beyond its limit at 5 % after Holm's correction over all bounds; or a measured latency or size is
 *   beyond its limit; or the candidate is not servable, or scored a row with NaN or infinity.
 * - Else inconclusive, with the rows that would decide.
 *
 * A slice with fewer rows of the metric than `minRows` is `tooSmall` and blocks only if the gate says so. A slice column
 * that no row has, a metric that is undefined overall, no rows, no limit that applies, or a champion or anchor that
 * cannot be scored: inconclusive, never a pass.
 * Throws `StatsInputError` when the models were not scored on the same rows and labels, when an id comes twice, or when
 * a limit is not a finite number.
 */
export function decideVerdict(input: VerdictInput): Verdict {
  const { gate, candidate } = input;
  requireFiniteLimits(gate);
  const common = {
    rows: candidate.outcomes.length,
    servable: candidate.servable,
    withoutChampion: input.champion === undefined,
  };
  // A model that does not even load has no answers to compare.
  if (!candidate.servable)
    return { ...common, result: 'fail', reasons: [notServable(candidate)], bounds: [], rowsNeeded: null };

  const contest = scoredContest(input);
  const tested = withFailures(gate.metrics.flatMap((metric) => boundsOf(metric, input, contest)));
  const unscored = unscoredRows(contest.candidate);
  const failed = unscored > 0 || tested.some(({ bound }) => bound.result === 'fail');
  const blocked = tested.length === 0 || tested.some(({ blocks }) => blocks);
  return {
    ...common,
    result: failed ? 'fail' : blocked ? 'inconclusive' : 'pass',
    reasons: explain({ tested, unscored, input }),
    bounds: tested.map(({ bound }) => bound),
    rowsNeeded: failed ? null : rowsNeededOverall(tested, common.rows),
  };
}

/** Gates come from checked specs; a limit of NaN would compare as met or unmet by accident. */
function requireFiniteLimits(gate: GateSpec): void {
  for (const metric of gate.metrics)
    for (const key of ['floor', 'ceiling', 'margin', 'worseBy'] as const)
      if (metric[key] !== undefined && !Number.isFinite(metric[key]))
        throw new StatsInputError(`gate: ${metric.metric}.${key} is ${metric[key]}, expected a finite number`);
}

function scoredContest(input: VerdictInput): Contest<ScoredRows> {
  const candidate = scoredRows(input.candidate.outcomes, input);
  const opponents: Partial<Record<Opponent, ScoredRows>> = {};
  for (const name of ['champion', 'anchor'] as const) {
    const model = input[name];
    if (!model?.servable || !input.gate.against.includes(name)) continue;
    const rows = scoredRows(model.outcomes, input);
    requireSameRows(candidate, rows, name);
    opponents[name] = rows;
  }
  return { candidate, opponents };
}

function boundsOf(metric: GateMetric, input: VerdictInput, contest: Contest<ScoredRows>): TestedBound[] {
  const { gate, candidate } = input;
  const of = rowMetricOf(metric);
  const known: Partial<Record<Opponent, JudgedModel>> = {};
  for (const name of opponentsOf(gate)) if (input[name]?.servable) known[name] = input[name];
  const bounds = of
    ? rowBounds({ ...metric, of }, gate, contest)
    : operationalBounds(metric, gate, { candidate, opponents: known });
  return [...bounds, ...unscoredOpponents(metric, input)];
}

/** A champion that cannot be scored cannot be lost against, and the gate does not guess: it never passes then. */
function unscoredOpponents(metric: GateMetric, input: VerdictInput): TestedBound[] {
  return opponentsOf(input.gate).flatMap((against) => {
    const opponent = input[against];
    if (!opponent || opponent.servable) return [];
    const questions = questionsOf(metric, input.gate, {
      candidate: input.candidate,
      opponents: { [against]: opponent },
    });
    const obstacle = `the ${against} cannot be scored: ${opponent.problem ?? 'it did not load and answer'}`;
    return questions
      .filter((question) => question.against === against)
      .map((question) => unknownBound(metric, question, { slice: 'overall', rows: 0, obstacle }));
  });
}

const opponentsOf = ({ against }: GateSpec): Opponent[] => [...new Set(against)];

/** Marks the bounds that lie beyond their limit even after Holm's correction over all that were tested. */
function withFailures(tested: readonly TestedBound[]): TestedBound[] {
  const family = tested.filter(({ bound }) => bound.pFail !== null);
  const rejected = holmRejects(
    family.map(({ bound }) => bound.pFail!),
    gateAlpha,
  );
  const beyond = new Set(family.filter((_, i) => rejected[i]));
  return tested.map((test) =>
    beyond.has(test) ? { blocks: true, bound: { ...test.bound, result: 'fail', rowsNeeded: null } } : test,
  );
}

/** The most rows that a blocking bound needs, in rows of the hold-out: a slice of a tenth of them needs ten times more. */
function rowsNeededOverall(tested: readonly TestedBound[], rows: number): number | null {
  const needs = tested
    .filter(({ blocks, bound }) => blocks && bound.rowsNeeded !== null && bound.rows > 0)
    .map(({ bound }) => Math.ceil((bound.rowsNeeded! / bound.rows) * rows));
  return needs.length > 0 ? Math.max(...needs) : null;
}
