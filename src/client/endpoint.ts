import type { Client, WorkflowHandle } from '@temporalio/client';
import type { Digest } from '../contracts/digest.ts';
import type { Answer, EndpointStatus, Request, ShadowRequest } from '../contracts/messages.ts';
import { isName, workflowIds } from '../contracts/names.ts';
import {
  endpointStatusQuery,
  freezeUpdate,
  rollbackUpdate,
  shadowUpdate,
  unfreezeUpdate,
} from '../workflows/messages.ts';
import { InvalidArgument } from './errors.ts';
import { accepted, query, tell } from './talk.ts';

type Word = Pick<Request, 'requestId' | 'reason'>;

export class EndpointHandle {
  readonly name: string;
  private readonly client: Client;
  private readonly by: string;
  private readonly handle: WorkflowHandle;

  constructor(client: Client, name: string, by: string) {
    if (!isName(name))
      throw new InvalidArgument(
        `endpoint ${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"`,
      );
    this.name = name;
    this.client = client;
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

  private async say(update: Parameters<typeof tell<Request>>[2], word: Word): Promise<Answer> {
    return accepted(await tell(this.client, this.handle, update, { ...word, by: this.by }));
  }
}
