import type { EndpointInStore } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type {
  Answer,
  DeployFinished,
  DeployRequest,
  EndpointState,
  NotifyEvent,
  Request,
  RolloutEnding,
  ShadowRequest,
  WithdrawRequest,
} from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { findAnswer, rememberAnswer } from './answers.ts';
import { serving } from './desired-state.ts';
import { unfreezeCommand } from './endpoint-status.ts';

/** What the endpoint does next; the workflow only carries it out. */
export type EndpointStep = 'tell' | 'waitForPerson' | 'load' | 'end' | 'rollBack' | 'apply' | 'rollOut' | 'idle';

/** A webhook that is away for days hears the newest. */
const longestQueue = 20;

export function initialEndpointState(): EndpointState {
  return {
    version: 1,
    loaded: false,
    blocked: null,
    desiredIsStale: false,
    ending: null,
    adopted: null,
    desired: null,
    generation: 0,
    current: null,
    stable: null,
    candidate: null,
    shadows: [],
    queue: [],
    probation: null,
    champion: null,
    rollbackAsked: null,
    outbox: [],
    frozen: null,
    barred: [],
    last: null,
    answers: [],
  };
}

/**
 * Every decision of an endpoint. The workflow is in normal life the single writer of what the endpoint serves, so two
 * loops or an operator can never race (DESIGN §2, §5).
 */
export class EndpointMachine {
  readonly endpoint: string;
  readonly state: EndpointState;
  /** Set while a rollout must stop: its candidate was withdrawn, rolled back or frozen away. */
  abort: { outcome: 'withdrawn' | 'rolledBack'; reason: string; by: string } | null = null;

  constructor(endpoint: string, state: EndpointState) {
    this.endpoint = endpoint;
    this.state = state;
  }

  next(): EndpointStep {
    const { outbox, blocked, loaded, ending, rollbackAsked, desiredIsStale, queue, frozen } = this.state;
    if (outbox.length > 0) return 'tell';
    if (blocked) return 'waitForPerson';
    if (!loaded) return 'load';
    if (ending) return 'end';
    if (rollbackAsked) return 'rollBack';
    if (desiredIsStale) return 'apply';
    return queue.length > 0 && !frozen ? 'rollOut' : 'idle';
  }

  /** No retry repairs what has failed. It waits for a person, and then begins with what the store says. */
  block(reason: string, nowMs: number): void {
    this.state.blocked = { reason, sinceMs: nowMs };
    this.state.loaded = false;
    const text = `the endpoint ${this.endpoint} cannot go on: ${reason}; it serves on what it serves`;
    this.tell('parked', `blocked/${nowMs}`, text);
  }

  /**
   * Every life begins with what the store says, and so does the way on after something had to stop. A ref that has moved
   * by no operation of ours was moved by hand; the first life of a workflow takes over whatever is served.
   *
   * @param ours whether an operation is this workflow's own
   * @returns what is barred here and not in the store, and who broke the glass
   */
  load(
    found: EndpointInStore,
    ours: (operation: string) => boolean,
    nowMs: number,
  ): { unbarred: Digest[]; adopted: EndpointState['adopted'] } {
    const { state } = this;
    const unbarred = state.barred.filter((model) => !found.barred.includes(model));
    const isFirst = state.desired === null;
    const hasMoved = found.desired !== null && found.desired.entry !== state.desired?.entry;
    state.loaded = true;
    state.barred = [...found.barred, ...unbarred];
    // What could not be written when it had to stop.
    state.desiredIsStale = !isFirst;
    if (state.candidate) {
      const reason = hasMoved ? 'the desired state was changed by hand' : 'the rollout was cut off';
      this.takeBack(this.abort ?? { outcome: 'withdrawn', reason, by: 'goto3' }, [], nowMs);
    }
    let adopted: EndpointState['adopted'] = null;
    if (hasMoved) {
      this.takeOver(found, nowMs);
      if (isFirst && found.state) this.setFrozen(found.state.frozen);
      else if (!ours(found.desired!.operation)) adopted = this.adopt(found, nowMs);
      // A new life goes on from what is served, and has nothing to say about it.
      if (isFirst && found.state) state.desiredIsStale = false;
    }
    this.refuseWhatWaitsInVain();
    return { unbarred, adopted };
  }

  /**
   * Asked again while it waits or rolls out, a request gets the answer it had. Asked again after that (a cycle that is run
   * again under its number waits for an outcome that was told to its earlier life) it is decided anew.
   */
  deploy(request: DeployRequest): Answer {
    const { requestId } = request;
    if (!this.isPending(requestId)) this.state.answers = this.state.answers.filter(([id]) => id !== requestId);
    return this.answerOnce(requestId, () => {
      const { state } = this;
      const id = request.requestId;
      state.lastLoop = request.loop;
      const refusal = this.refusalOf(request);
      if (refusal !== null) return { id, state: 'refused', reason: refusal };
      if (state.current?.model === request.model) return { id, state: 'done', reason: 'already serving' };
      // A newer waiting request of the same loop replaces the older one: its model is already out of date.
      for (const old of state.queue.filter((r) => r.loop === request.loop))
        this.finish(old, {
          outcome: 'superseded',
          reason: `version ${request.version} of the same loop came before its turn`,
          deployment: null,
        });
      state.queue = [...state.queue.filter((r) => r.loop !== request.loop), request];
      const busy = state.candidate !== null || state.queue.length > 1;
      return {
        id,
        state: busy ? 'queued' : 'started',
        reason: busy ? 'after the rollout in progress' : request.reason,
      };
    });
  }

  withdraw(request: WithdrawRequest): Answer {
    return this.answerOnce(request.requestId, () => {
      const waiting = this.state.queue.find((r) => r.requestId === request.deploy);
      if (waiting) {
        this.state.queue = this.state.queue.filter((r) => r !== waiting);
        return { id: request.deploy, state: 'done', reason: 'dropped before it began' };
      }
      if (this.state.candidate?.request.requestId === request.deploy) {
        this.abort = { outcome: 'withdrawn', reason: request.reason, by: request.by };
        return { id: request.deploy, state: 'started', reason: 'the canary is taken back' };
      }
      return { id: request.deploy, state: 'done', reason: 'nothing to withdraw: the rollout has ended' };
    });
  }

  rollback(request: Request): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.endpoint(this.endpoint);
      if (this.state.candidate) {
        this.unblock();
        this.abort = { outcome: 'rolledBack', reason: request.reason, by: request.by };
        return { id, state: 'started', reason: `version ${this.state.candidate.version} loses its canary traffic` };
      }
      const target = this.state.stable;
      if (!target || target.model === this.state.current?.model)
        return { id, state: 'refused', reason: 'there is no other version to roll back to' };
      this.unblock();
      this.state.rollbackAsked = { requestId: request.requestId, by: request.by, reason: request.reason };
      return { id, state: 'started', reason: `back to version ${target.version}` };
    });
  }

  freeze(request: Request, nowIso: string): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.endpoint(this.endpoint);
      if (this.state.frozen) return { id, state: 'done', reason: `already frozen by ${this.state.frozen.by}` };
      if (this.state.candidate)
        this.abort = { outcome: 'withdrawn', reason: `frozen by ${request.by}: ${request.reason}`, by: request.by };
      this.setFrozen({ by: request.by, reason: request.reason, at: nowIso });
      return { id, state: 'done', reason: 'nothing new is rolled out until someone unfreezes it' };
    });
  }

  unfreeze(request: Request): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.endpoint(this.endpoint);
      const { blocked, frozen } = this.state;
      this.unblock();
      if (frozen) this.setFrozen(null);
      if (blocked) return { id, state: 'done', reason: 'it tries again' };
      return { id, state: 'done', reason: frozen ? 'the next version may be rolled out' : 'was not frozen' };
    });
  }

  shadow(request: ShadowRequest): Answer {
    return this.answerOnce(request.requestId, () => {
      const id = workflowIds.endpoint(this.endpoint);
      if (['current', 'candidate', 'stable'].includes(request.name))
        return { id, state: 'refused', reason: `"${request.name}" is the name of a role` };
      const others = this.state.shadows.filter((s) => s.name !== request.name);
      if (request.model && others.length >= 4)
        return { id, state: 'refused', reason: 'an endpoint carries at most 4 shadows' };
      this.state.shadows = request.model ? [...others, { name: request.name, model: request.model }] : others;
      this.state.desiredIsStale = true;
      return {
        id,
        state: 'started',
        reason: request.model ? 'the shadow answers from the next generation on' : 'taken away',
      };
    });
  }

  /** A rollback bars the digest and freezes the endpoint until someone unfreezes it. */
  barAndFreeze(model: Digest, frozen: NonNullable<EndpointState['frozen']>): void {
    if (!this.state.barred.includes(model)) this.state.barred.push(model);
    this.setFrozen(frozen);
  }

  setFrozen(frozen: EndpointState['frozen']): void {
    this.state.frozen = frozen;
    this.state.desiredIsStale = true;
    if (!frozen) return;
    for (const waiting of this.state.queue)
      this.finish(waiting, {
        outcome: 'refused',
        reason: `frozen by ${frozen.by}: ${frozen.reason}`,
        deployment: null,
      });
    this.state.queue = [];
  }

  /** Tells the request's cycle how it ended, once the workflow gets to it. */
  finish(request: DeployRequest, outcome: Omit<DeployFinished, 'requestId'>): void {
    if (request.replyTo)
      this.state.outbox.push({ replyTo: request.replyTo, message: { requestId: request.requestId, ...outcome } });
  }

  /**
   * The candidate takes all traffic. A rollback will go to the newest version that finished probation or that a person
   * approved, else to the version before; it stays warm through the candidate's probation.
   */
  promote(reason: string, steps: RolloutEnding['steps'], nowMs: number): void {
    const { state } = this;
    const { weight: _weight, request, ...served } = state.candidate!;
    const before = state.current;
    const trusted = state.probation === null || state.probation.request.approvedByPerson;
    if (before && (trusted || !state.stable)) state.stable = before;
    state.current = { ...served, sinceMs: nowMs };
    state.candidate = null;
    state.probation = request.plan.probation && before ? { request, startedAtMs: nowMs } : null;
    const { requestId, model, modelName, by } = request;
    this.end({ requestId, model, modelName, by, outcome: 'deployed', reason, steps, champion: model, request });
  }

  /** The candidate loses its traffic; what stays is what served before. */
  takeBack(
    { outcome, reason, by }: { outcome: 'withdrawn' | 'rolledBack'; reason: string; by: string },
    steps: RolloutEnding['steps'],
    nowMs: number,
  ): void {
    const { request } = this.state.candidate!;
    const { requestId, model, modelName } = request;
    this.state.candidate = null;
    this.abort = null;
    if (outcome === 'rolledBack') this.barAndFreeze(model, { by, reason, at: isoOf(nowMs) });
    this.end({ requestId, model, modelName, by, outcome, reason, steps, champion: null, request });
  }

  passProbation(): void {
    this.state.probation = null;
    this.state.desiredIsStale = true;
  }

  /** An operator's rollback, or probation's: the serving version loses its place to `stable`. */
  rollBackToStable({ requestId, by, reason }: { requestId: string; by: string; reason: string }, nowMs: number): void {
    const { state } = this;
    const loser = state.current;
    state.rollbackAsked = null;
    if (!loser || !state.stable) return;
    state.current = { ...state.stable, sinceMs: nowMs };
    state.probation = null;
    const { model, modelName } = loser;
    const where = `version ${loser.version} on ${this.endpoint} was rolled back to version ${state.current.version}`;
    this.tell('rolledBack', `rolled-back/${requestId}`, `${where}: ${reason} (${by})`);
    this.barAndFreeze(model, { by, reason, at: isoOf(nowMs) });
    // The rollout's own cycle ended when it reached 100 %: nobody waits for this outcome.
    this.end({
      ...{ requestId, model, modelName, by, outcome: 'rolledBack', reason },
      ...{ steps: [], champion: state.current.model, request: null },
    });
  }

  /** It is written, as far as it can be: its cycle is told, once. */
  told(deployment: Digest | null): void {
    const { ending } = this.state;
    if (!ending?.request) return;
    this.finish(ending.request, { outcome: ending.outcome, reason: ending.reason, deployment });
    ending.request = null;
  }

  /** Whoever is on call has heard it. */
  heard(key: string): void {
    this.state.notices = this.notices.filter(({ notice }) => notice.key !== key);
  }

  /** What nobody has heard yet, oldest first. */
  get notices(): NonNullable<EndpointState['notices']> {
    return this.state.notices ?? [];
  }

  /** Repaired before it was heard is no news any more. */
  private unblock(): void {
    this.state.blocked = null;
    this.state.notices = this.notices.filter(({ notice }) => notice.event !== 'parked');
  }

  /** For what no cycle tells. An endpoint that no loop has asked for anything has nobody to tell. */
  private tell(event: NotifyEvent, about: string, text: string): void {
    const { lastLoop: loop } = this.state;
    if (loop === undefined) return;
    const key = `${workflowIds.endpoint(this.endpoint)}/${about}`;
    const command = unfreezeCommand(this.endpoint);
    this.state.notices = [...this.notices, { loop, notice: { key, event, text, command } }].slice(-longestQueue);
  }

  private end(ending: RolloutEnding): void {
    this.state.ending = ending;
    this.state.desiredIsStale = true;
  }

  /** What is desired now is the truth. */
  private takeOver({ desired, state: served, known }: EndpointInStore, nowMs: number): void {
    const { state } = this;
    state.desired = desired;
    if (!served) return;
    // A hand may move the ref back to an older blob; a number that replicas have reported once must not come again.
    state.generation = Math.max(state.generation, served.generation);
    const variant = serving(served);
    if (variant && variant.model !== state.current?.model) {
      state.probation = null;
      const inStore = known.map(({ model, modelName, version }) => ({ model, modelName, version }));
      const registered = [state.stable, state.current, ...inStore].find((m) => m?.model === variant.model);
      // A first life has been asked for nothing yet; whoever made what is served wants to know what becomes of it.
      const maker = known.find((m) => m.model === variant.model)?.loop;
      if (maker !== undefined) state.lastLoop ??= maker;
      const unknown = { model: variant.model, modelName: state.current?.modelName ?? 'unknown', version: 0 };
      state.current = { ...(registered ?? unknown), sinceMs: nowMs };
    }
    state.shadows = served.variants
      .filter((v) => v.shadow && v.name !== 'stable')
      .map(({ name, model }) => ({ name, model }));
  }

  /** Somebody moved the ref by hand: nothing new follows until a person says so. */
  private adopt({ moved, state: served }: EndpointInStore, nowMs: number): NonNullable<EndpointState['adopted']> {
    const { by, reason } = moved ?? { by: 'an operator', reason: 'no reason given' };
    const adopted = { by, reason, model: this.state.current?.model ?? null, atMs: moved?.atMs ?? nowMs };
    this.state.adopted = adopted;
    this.state.probation = null;
    const why = served
      ? `the desired state was changed by hand: ${reason}`
      : `the desired state was changed by hand to one that cannot be read: ${reason}`;
    this.setFrozen(served?.frozen ?? { by, reason: why, at: isoOf(adopted.atMs) });
    return adopted;
  }

  /** What was accepted before the store was known. */
  private refuseWhatWaitsInVain(): void {
    const { state } = this;
    const waiting = state.queue;
    state.queue = [];
    for (const request of waiting) {
      const reason = this.refusalOf(request);
      if (reason === null) state.queue.push(request);
      else this.finish(request, { outcome: 'refused', reason, deployment: null });
    }
  }

  private refusalOf({ model, modelName }: DeployRequest): string | null {
    const { blocked, frozen, barred, current } = this.state;
    const unfreeze = unfreezeCommand(this.endpoint);
    if (blocked) return `it cannot go on: ${blocked.reason}; ${unfreeze}`;
    if (frozen) return `frozen by ${frozen.by}: ${frozen.reason}; ${unfreeze}`;
    if (barred.includes(model)) return 'this model was rolled back here and is barred';
    if (current && current.modelName !== modelName)
      return `the endpoint serves the model ${current.modelName}, not ${modelName}`;
    return null;
  }

  private isPending(requestId: string): boolean {
    const { candidate, ending, queue } = this.state;
    return [candidate?.request, ending?.request, ...queue].some((r) => r?.requestId === requestId);
  }

  private answerOnce(requestId: string, decide: () => Answer): Answer {
    return findAnswer(this.state.answers, requestId) ?? rememberAnswer(this.state.answers, requestId, decide());
  }
}

const isoOf = (ms: number): string => new Date(ms).toISOString();
