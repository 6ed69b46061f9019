import type { JobStatus } from '../../contracts/job.ts';
import type { Claim, ExitRecord, ProgramRecord } from '../local/job-folder.ts';
import type { QueueWord } from './queue-watch.ts';
import { phaseOf, verdictOf } from './states.ts';

/** All that is known about a job that has not recorded its end. */
export interface Facts {
  /** Slurm's id of the start that holds the claim, else of the one that was submitted or adopted. */
  id: string;
  claim?: Claim;
  program?: ProgramRecord;
  /** The wrapper's word that it left without an end: the program is over. */
  left?: ExitRecord;
  cancelled: boolean;
  /** For how long the wrapper has not renewed. */
  silentMs: number;
  word: QueueWord;
}

export interface Patience {
  /** From Slurm's "ended" to the belief that the wrapper recorded nothing: a shared folder shows files late. */
  settleMs: number;
  /** A job whose node failed or that was preempted may be started again within this time. */
  returnMs: number;
  /** A job that neither queue nor accounting has was not merely overlooked. */
  absentMs: number;
}

export type Judgement =
  | { kind: 'status'; status: JobStatus }
  | { kind: 'over'; exit: Omit<ExitRecord, 'endedAt'> }
  /** It waits for what will not come by itself: to be taken out of the queue, unless it starts first. */
  | { kind: 'hopeless'; exit: Omit<ExitRecord, 'endedAt'> };

/** Reasons of a pending job (squeue(1), JOB REASON CODES) that only a person can change. */
const hopeless: readonly string[] = [
  'BadConstraints',
  'PartitionConfig',
  'PartitionNodeLimit',
  'PartitionTimeLimit',
  'InvalidAccount',
  'InvalidQOS',
  'DependencyNeverSatisfied',
  'AssociationTimeLimit',
];

/** The wrapper renews, so it lives, whatever Slurm believes: then Slurm need not be asked at all. */
export const isBeating = ({ claim, left, silentMs }: Pick<Facts, 'claim' | 'left' | 'silentMs'>): boolean =>
  claim !== undefined && left === undefined && silentMs <= claim.renewWithinMs;

/**
 * How far a job has come that has no exit.json. Requeue, NODE_FAIL and PREEMPTED are not the end, "not in the queue" is not
 * "failed", and no job is called over while its wrapper renews. Pure.
 */
export function judge(facts: Facts, patience: Patience): Judgement {
  const { word, claim, left } = facts;
  if (isBeating(facts)) return told(alive(facts));
  if (word.kind === 'silent') return told(unheard(facts, `the cluster does not answer: ${word.why}`));
  if (word.kind === 'absent') {
    if (word.forMs < patience.absentMs) return told(unheard(facts, `Slurm does not show job ${facts.id}`));
    return over(facts, 'infrastructure', `Slurm no longer knows job ${facts.id}`);
  }
  const { states, reason, nodes } = word.job;
  const where = nodes === '' ? '' : ` on ${nodes}`;
  const said = `Slurm job ${facts.id} ended as ${states.join(' ')}${where}`;
  switch (phaseOf(states)) {
    case 'waiting':
      if (hopeless.includes(reason) && word.forMs >= patience.absentMs)
        return {
          kind: 'hopeless',
          exit: {
            state: 'failed',
            failureClass: 'userError',
            reason: `Slurm job ${facts.id} cannot start as it is: ${reason}`,
          },
        };
      return told({ state: 'pending', reason: `${states.join(' ')}: ${reason}` });
    case 'running':
      if (claim && !left && facts.silentMs > 2 * claim.renewWithinMs)
        return told({ state: 'unknown', reason: `Slurm says ${states.join(' ')}${where}, and the wrapper is silent` });
      return told(alive(facts));
    case 'mayReturn':
      return word.forMs < patience.returnMs ? told(waitingToReturn(facts)) : over(facts, verdictOf(states), said);
    case 'ended':
      return !left && word.forMs < patience.settleMs ? told(alive(facts)) : over(facts, verdictOf(states), said);
    case 'unclear':
      return told({ state: 'unknown', reason: `Slurm says ${states.join(' ')}, which this version does not know` });
  }
}

const told = (status: JobStatus): Judgement => ({ kind: 'status', status });

const alive = ({ program, left }: Facts): JobStatus =>
  program && !left ? { state: 'running', startedAt: program.startedAt } : { state: 'pending' };

const unheard = (facts: Facts, reason: string): JobStatus =>
  facts.claim ? { state: 'unknown', reason } : { state: 'pending', reason };

const waitingToReturn = ({ id, word }: Facts): JobStatus => ({
  state: 'pending',
  reason: `Slurm job ${id}: ${word.kind === 'job' ? word.job.states.join(' ') : ''}; it may be started again`,
});

function over(facts: Facts, verdict: ReturnType<typeof verdictOf>, said: string): Judgement {
  const startedAt = facts.program?.startedAt;
  const common = { reason: said, ...(startedAt !== undefined && { startedAt }) };
  if (facts.cancelled || verdict === 'cancelled')
    return {
      kind: 'over',
      exit: { ...common, state: 'cancelled', reason: facts.cancelled ? `cancelled on request; ${said}` : said },
    };
  // The wrapper knows more than Slurm: it was told to leave, and nobody started it again.
  const failureClass = verdict === 'infrastructure' ? (facts.left?.failureClass ?? verdict) : verdict;
  return { kind: 'over', exit: { ...common, state: 'failed', failureClass } };
}
