import type { Digest } from '../../contracts/digest.ts';
import type { DesiredState, Variant } from '../../contracts/endpoint.ts';
import type {
  Answer,
  DeployFinished,
  DeployRequest,
  EndpointState,
  EndpointStatus,
  RefPosition,
  Request,
  ServedModel,
  ShadowRequest,
  WithdrawRequest,
} from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { findAnswer, rememberAnswer } from './answers.ts';

export function initialEndpointState(): EndpointState {
  return {
    version: 1,
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
  /** Shadows or the freeze changed and the desired state does not say so yet. */
  desiredIsStale = false;

  constructor(endpoint: string, state: EndpointState) {
    this.endpoint = endpoint;
    this.state = state;
  }

  hasWork(): boolean {
    const { queue, rollbackAsked, outbox, frozen } = this.state;
    return outbox.length > 0 || rollbackAsked !== null || this.desiredIsStale || (queue.length > 0 && frozen === null);
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
      if (state.frozen)
        return {
          id,
          state: 'refused',
          reason: `frozen by ${state.frozen.by}: ${state.frozen.reason}; goto3 endpoint unfreeze ${this.endpoint} --reason "..."`,
        };
      if (state.barred.includes(request.model))
        return { id, state: 'refused', reason: 'this model was rolled back here and is barred' };
      if (state.current && state.current.modelName !== request.modelName)
        return {
          id,
          state: 'refused',
          reason: `the endpoint serves the model ${state.current.modelName}, not ${request.modelName}`,
        };
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
        this.abort = { outcome: 'rolledBack', reason: request.reason, by: request.by };
        return { id, state: 'started', reason: `version ${this.state.candidate.version} loses its canary traffic` };
      }
      const target = this.state.stable;
      if (!target || target.model === this.state.current?.model)
        return { id, state: 'refused', reason: 'there is no other version to roll back to' };
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
      if (!this.state.frozen) return { id, state: 'done', reason: 'was not frozen' };
      this.setFrozen(null);
      return { id, state: 'done', reason: 'the next version may be rolled out' };
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
      this.desiredIsStale = true;
      return {
        id,
        state: 'started',
        reason: request.model ? 'the shadow answers from the next generation on' : 'taken away',
      };
    });
  }

  setFrozen(frozen: EndpointState['frozen']): void {
    this.state.frozen = frozen;
    this.desiredIsStale = true;
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
  promote(nowMs: number): void {
    const { state } = this;
    const { weight: _weight, request, ...served } = state.candidate!;
    const before = state.current;
    const trusted = state.probation === null || state.probation.request.approvedByPerson;
    if (before && (trusted || !state.stable)) state.stable = before;
    state.current = { ...served, sinceMs: nowMs };
    state.candidate = null;
    state.probation = request.plan.probation && before ? { request, startedAtMs: nowMs } : null;
  }

  passProbation(): void {
    this.state.probation = null;
    this.desiredIsStale = true;
  }

  /** @returns the version that lost its place */
  rollBackToStable(nowMs: number): ServedModel | null {
    const loser = this.state.current;
    this.state.current = this.state.stable ? { ...this.state.stable, sinceMs: nowMs } : null;
    this.state.probation = null;
    this.state.rollbackAsked = null;
    return loser;
  }

  /** Somebody moved the ref by hand: what is desired now is the truth, and nothing new follows until a person says so. */
  adopt(
    position: RefPosition,
    desired: DesiredState,
    registry: readonly { model: Digest; modelName: string; version: number }[],
    by: string,
    reason: string,
    nowMs: number,
    nowIso: string,
  ): void {
    const { state } = this;
    state.desired = position;
    // A hand may move the ref back to an older blob; a number that replicas have reported once must not come again.
    state.generation = Math.max(state.generation, desired.generation);
    state.candidate = null;
    state.probation = null;
    const serving =
      desired.variants.find((v) => v.weight === 100) ?? [...desired.variants].sort((a, b) => b.weight - a.weight)[0];
    if (serving && serving.model !== state.current?.model) {
      const known = [state.stable, state.current, ...registry].find((m) => m?.model === serving.model);
      const unknown = { model: serving.model, modelName: state.current?.modelName ?? 'unknown', version: 0 };
      state.current = { ...(known ?? unknown), sinceMs: nowMs };
    }
    state.shadows = desired.variants
      .filter((v) => v.shadow && v.name !== 'stable')
      .map(({ name, model }) => ({ name, model }));
    this.setFrozen(desired.frozen ?? { by, reason: `the desired state was changed by hand: ${reason}`, at: nowIso });
  }

  /** The next desired state, one generation up. */
  desiredState(): DesiredState {
    const { state } = this;
    const variants: Variant[] = [];
    const add = (name: string, model: Digest, weight: number, shadow: boolean): void => {
      if (!variants.some((v) => v.model === model && !v.shadow && !shadow))
        variants.push({ name, model, weight, shadow });
    };
    if (state.current) add('current', state.current.model, 100 - (state.candidate?.weight ?? 0), false);
    if (state.candidate) add('candidate', state.candidate.model, state.candidate.weight, false);
    // Through probation the version before stays warm and answers along for the record: labels then judge both on the
    // same rows, and the way back is one change of weights.
    if (state.stable && state.probation) add('stable', state.stable.model, 0, true);
    for (const { name, model } of state.shadows) add(name, model, 0, true);
    return {
      schema: 'goto3/desired/v1',
      endpoint: this.endpoint,
      generation: state.generation + 1,
      variants,
      frozen: state.frozen,
    };
  }

  status(): EndpointStatus {
    const { state } = this;
    const withoutRequest = ({
      request: _request,
      ...candidate
    }: NonNullable<EndpointState['candidate']>): EndpointStatus['candidate'] => candidate;
    return {
      endpoint: this.endpoint,
      generation: state.generation,
      current: state.current,
      stable: state.stable,
      candidate: state.candidate && withoutRequest(state.candidate),
      shadows: state.shadows,
      probation: state.probation && {
        model: state.probation.request.model,
        version: state.probation.request.version,
        startedAtMs: state.probation.startedAtMs,
      },
      queued: state.queue.map(({ requestId, version, loop }) => ({ requestId, version, loop })),
      frozen: state.frozen,
      barred: state.barred,
      last: state.last,
    };
  }

  private isPending(requestId: string): boolean {
    return (
      this.state.candidate?.request.requestId === requestId || this.state.queue.some((r) => r.requestId === requestId)
    );
  }

  private answerOnce(requestId: string, decide: () => Answer): Answer {
    return findAnswer(this.state.answers, requestId) ?? rememberAnswer(this.state.answers, requestId, decide());
  }
}
