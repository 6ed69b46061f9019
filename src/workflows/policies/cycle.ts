import type { CyclePlan } from '../../contracts/activities.ts';
import type {
  Answer,
  CycleInput,
  CycleStage,
  CycleStatus,
  DeployFinished,
  DropData,
  Request,
  RetryCycle,
} from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { type Answers, findAnswer, rememberAnswer } from './answers.ts';

/** What a cycle can wait for a person to say. */
export type Waiting =
  | { kind: 'approval'; by: string[]; notBy: string | null }
  | { kind: 'retry' }
  | { kind: 'data'; dataset: string };

export type PersonsWord =
  | { kind: 'approve' | 'reject' | 'acceptData'; by: string; reason: string }
  | ({ kind: 'retry' } & RetryCycle)
  | ({ kind: 'dropData' } & DropData);

/** What a cycle knows and is asked: the decisions of its conversation, apart from the workflow that carries them out. */
export class CycleMachine {
  readonly input: CycleInput;
  readonly startedAtMs: number;
  stage: CycleStage = 'data';
  sinceMs: number;
  waiting: Waiting | null = null;
  waitsFor = 'the data program';
  command: string | null = null;
  deadlineMs: number | null = null;
  facts: [name: string, value: string][] = [];
  /** The word that ended the last wait; the workflow takes it. */
  word: PersonsWord | null = null;
  deploy: { requestId: string; finished: DeployFinished | null } | null = null;
  droppedSignals = 0;
  private notices = 0;
  private readonly answers: Answers = [];

  constructor(input: CycleInput, nowMs: number) {
    this.input = input;
    this.startedAtMs = nowMs;
    this.sinceMs = nowMs;
  }

  enter(stage: CycleStage, waitsFor: string, nowMs: number): void {
    this.stage = stage;
    this.sinceMs = nowMs;
    this.waitsFor = waitsFor;
    this.command = null;
    this.deadlineMs = null;
    this.waiting = null;
  }

  learn(name: string, value: string): void {
    this.facts = [...this.facts.filter(([known]) => known !== name), [name, value]];
  }

  /** What is over needs not be read. */
  forget(name: string): void {
    this.facts = this.facts.filter(([known]) => known !== name);
  }

  waitFor(waiting: Waiting, waitsFor: string, command: string, deadlineMs: number | null): void {
    this.waiting = waiting;
    this.word = null;
    this.waitsFor = waitsFor;
    this.command = command;
    this.deadlineMs = deadlineMs;
  }

  /** Ends the wait; null when nobody has spoken. */
  takeWord(): PersonsWord | null {
    const { word } = this;
    this.word = null;
    this.waiting = null;
    this.command = null;
    this.deadlineMs = null;
    return word;
  }

  decide(kind: 'approve' | 'reject', request: Request): Answer {
    return this.answerOnce(request.requestId, () => {
      const { waiting } = this;
      if (waiting?.kind !== 'approval') return this.refused(`it is at "${this.stage}" and waits for no approval`);
      if (!waiting.by.includes('*') && !waiting.by.includes(request.by))
        return this.refused(`"${request.by}" is not one of the approvers: ${waiting.by.join(', ')}`);
      if (waiting.notBy !== null && waiting.notBy === request.by)
        return this.refused(`"${request.by}" is the author of the spec and may not approve it`);
      return this.accept({ kind, by: request.by, reason: request.reason });
    });
  }

  retry(request: RetryCycle): Answer {
    return this.answerOnce(request.requestId, () =>
      this.waiting?.kind === 'retry'
        ? this.accept({ kind: 'retry', ...request })
        : this.refused(`it is at "${this.stage}" and waits for no retry`),
    );
  }

  acceptData(request: Request): Answer {
    return this.answerOnce(request.requestId, () =>
      this.waiting?.kind === 'data'
        ? this.accept({ kind: 'acceptData', by: request.by, reason: request.reason })
        : this.refused(`it is at "${this.stage}" and holds no data back`),
    );
  }

  dropData(request: DropData): Answer {
    return this.answerOnce(request.requestId, () =>
      this.waiting?.kind === 'data'
        ? this.accept({ kind: 'dropData', ...request })
        : this.refused(`it is at "${this.stage}" and holds no data back`),
    );
  }

  deployFinished(message: DeployFinished): void {
    if (this.deploy?.requestId === message.requestId && !this.deploy.finished) this.deploy.finished = message;
    else this.droppedSignals += 1;
  }

  /** Number of the next notice: the second time it parks is news again. */
  nextNotice(): number {
    this.notices += 1;
    return this.notices;
  }

  /** Kind of act a person owes, for the search attribute. */
  attention(): string | null {
    return this.waiting && { approval: 'approval', retry: 'parked', data: 'parked' }[this.waiting.kind];
  }

  status(): CycleStatus {
    const { loop, n } = this.input;
    const { stage, sinceMs, startedAtMs, waitsFor, command, deadlineMs, facts } = this;
    return { loop, n, stage, sinceMs, startedAtMs, waitsFor, command, deadlineMs, facts };
  }

  private get id(): string {
    return workflowIds.cycle(this.input.loop, this.input.n);
  }

  private refused(reason: string): Answer {
    return { id: this.id, state: 'refused', reason };
  }

  private accept(word: PersonsWord): Answer {
    this.word = word;
    this.waiting = null;
    return { id: this.id, state: 'done', reason: 'taken down; the cycle goes on' };
  }

  private answerOnce(requestId: string, decide: () => Answer): Answer {
    return findAnswer(this.answers, requestId) ?? rememberAnswer(this.answers, requestId, decide());
  }
}

/** After this many inconclusive verdicts in a row a person is asked, whatever the spec says (DESIGN §7). */
const inconclusiveUntilAsked = 3;

/** Who decides about a candidate that the gate let through, or could not decide on. */
export function approvalRule(
  plan: CyclePlan,
  result: 'pass' | 'inconclusive',
  inconclusiveBefore: number,
): 'auto' | 'hold' | Exclude<CyclePlan['approval'], 'auto'> {
  if (result === 'pass') return plan.approval;
  if (plan.onInconclusive === 'hold' && inconclusiveBefore + 1 < inconclusiveUntilAsked) return 'hold';
  const aWeekMs = 7 * 86_400_000;
  return plan.approval === 'auto' ? { by: ['*'], notBy: null, withinMs: aWeekMs, onTimeout: 'reject' } : plan.approval;
}
