import type { Client, WorkflowHandle } from '@temporalio/client';
import type { CycleReport } from '../contracts/manifests.ts';
import type { Answer, CycleStatus, DropData, Request, RetryCycle } from '../contracts/messages.ts';
import { workflowIds } from '../contracts/names.ts';
import type { Store } from '../store/types.ts';
import {
  acceptDataUpdate,
  approveUpdate,
  cycleStatusQuery,
  dropDataUpdate,
  rejectUpdate,
  retryUpdate,
} from '../workflows/messages.ts';
import { findReport, parseCycleId } from './cycle-reports.ts';
import { Goto3Error } from './errors.ts';
import { accepted, cancel, query, tell } from './talk.ts';

type Word = Pick<Request, 'requestId' | 'reason'>;

export class CycleHandle {
  readonly loop: string;
  readonly n: number;
  private readonly client: Client;
  private readonly store: Store;
  private readonly by: string;
  private readonly handle: WorkflowHandle;

  private constructor(client: Client, store: Store, loop: string, n: number, by: string) {
    this.loop = loop;
    this.n = n;
    this.client = client;
    this.store = store;
    this.by = by;
    this.handle = client.workflow.getHandle(workflowIds.cycle(loop, n));
  }

  /** @param id `<loop>/<n>` */
  static of(client: Client, store: Store, id: string, by: string): CycleHandle {
    const { loop, n } = parseCycleId(id);
    return new CycleHandle(client, store, loop, n, by);
  }

  get id(): string {
    return `${this.loop}/${this.n}`;
  }

  async status(): Promise<CycleStatus> {
    return await query(this.client, this.handle, cycleStatusQuery);
  }

  /** The report once the cycle has ended; undefined before. */
  async report(): Promise<CycleReport | undefined> {
    return (await findReport(this.store, this.loop, this.n))?.report;
  }

  /** Waits for the report. @throws Goto3Error after `timeoutMs` */
  async result({ timeoutMs }: { timeoutMs: number }): Promise<CycleReport> {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      const report = await this.report();
      if (report) return report;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    throw new Goto3Error(
      `cycle ${this.id} has not ended within ${timeoutMs} ms; goto3 cycle show ${this.id} tells what it waits for`,
    );
  }

  approve = (word: Word): Promise<Answer> => this.say(approveUpdate, word);
  reject = (word: Word): Promise<Answer> => this.say(rejectUpdate, word);
  acceptData = (word: Word): Promise<Answer> => this.say(acceptDataUpdate, word);

  async dropData(word: Word & Pick<DropData, 'slice'>): Promise<Answer> {
    return accepted(await tell<DropData>(this.client, this.handle, dropDataUpdate, { ...word, by: this.by }));
  }

  async retry(word: Word & Pick<RetryCycle, 'resources'>): Promise<Answer> {
    return accepted(await tell<RetryCycle>(this.client, this.handle, retryUpdate, { ...word, by: this.by }));
  }

  /** Ends the cycle in good order: its job stops, its rollout is withdrawn. */
  async cancel(): Promise<void> {
    await cancel(this.client, this.handle);
  }

  private async say(update: Parameters<typeof tell<Request>>[2], word: Word): Promise<Answer> {
    return accepted(await tell(this.client, this.handle, update, { ...word, by: this.by }));
  }
}
