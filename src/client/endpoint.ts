import type { Client, WorkflowHandle } from '@temporalio/client';
import type { Digest } from '../contracts/digest.ts';
import { DesiredState } from '../contracts/endpoint.ts';
import type { Answer, EndpointStatus, Request, ShadowRequest } from '../contracts/messages.ts';
import { isName, refNames, workflowIds } from '../contracts/names.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Ref, Store } from '../store/types.ts';
import {
  endpointStatusQuery,
  freezeUpdate,
  rollbackUpdate,
  shadowUpdate,
  unfreezeUpdate,
} from '../workflows/messages.ts';
import { Goto3Error, NotFoundError, Refused } from './errors.ts';
import { query, tell } from './talk.ts';

type Word = Pick<Request, 'requestId' | 'reason'>;

export class EndpointHandle {
  readonly name: string;
  private readonly client: Client;
  private readonly store: Store;
  private readonly by: string;
  private readonly handle: WorkflowHandle;

  constructor(client: Client, store: Store, name: string, by: string) {
    if (!isName(name))
      throw new Goto3Error(`endpoint ${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"`);
    this.name = name;
    this.client = client;
    this.store = store;
    this.by = by;
    this.handle = client.workflow.getHandle(workflowIds.endpoint(name));
  }

  async status(): Promise<EndpointStatus> {
    return await query(this.client, this.handle, endpointStatusQuery);
  }

  rollback = (word: Word): Promise<Answer> => this.say(rollbackUpdate, word);
  freeze = (word: Word): Promise<Answer> => this.say(freezeUpdate, word);
  unfreeze = (word: Word): Promise<Answer> => this.say(unfreezeUpdate, word);

  /** A model that answers every request for the record only; null takes the shadow away. */
  async shadow(word: Word & { name: string; model: Digest | null }): Promise<Answer> {
    return accepted(await tell<ShadowRequest>(this.client, this.handle, shadowUpdate, { ...word, by: this.by }));
  }

  /**
   * Break-glass: moves the desired state itself, back to what served before, also while Temporal is away. Replicas follow
   * within half a second; the endpoint's workflow notices, adopts it and freezes.
   */
  async rollbackByHand({ requestId, reason }: Word): Promise<{ from: Ref; to: Ref; generation: number }> {
    const name = refNames.desired(this.name);
    const newest = await this.store.refs.read(name);
    if (!newest) throw new NotFoundError(`the endpoint ${this.name} has never served anything`);
    const now = await getJson(this.store, DesiredState, newest.digest);
    const serving = (state: DesiredState): string | undefined => state.variants.find((v) => v.weight === 100)?.model;
    for await (const entry of this.store.refs.history(name)) {
      const before = await getJson(this.store, DesiredState, entry.digest);
      const model = serving(before);
      if (!model || model === serving(now) || before.variants.some((v) => v.name === 'candidate')) continue;
      const generation = now.generation + 1;
      const next: DesiredState = {
        ...before,
        generation,
        frozen: { by: this.by, reason, at: new Date().toISOString() },
      };
      const digest = await putJson(this.store, DesiredState, next);
      const to = await this.store.refs.compareAndSet(name, newest, digest, {
        operation: requestId,
        by: this.by,
        reason,
      });
      return { from: newest, to, generation };
    }
    throw new Refused(`no other version has served on ${this.name}`);
  }

  private async say(update: Parameters<typeof tell<Request>>[2], word: Word): Promise<Answer> {
    return accepted(await tell(this.client, this.handle, update, { ...word, by: this.by }));
  }
}

function accepted(answer: Answer): Answer {
  if (answer.state === 'refused') throw new Refused(answer.reason);
  return answer;
}
