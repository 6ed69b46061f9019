import type { Client, WorkflowHandle } from '@temporalio/client';
import type { CycleReport } from '../contracts/manifests.ts';
import type { Answer, LoopStatus, Request } from '../contracts/messages.ts';
import { isName, workflowIds } from '../contracts/names.ts';
import type { Store } from '../store/types.ts';
import { loopStatusQuery, newDataSignal, pauseUpdate, resumeUpdate, retrainUpdate } from '../workflows/messages.ts';
import { cycleReports } from './cycle-reports.ts';
import { InvalidArgument, LoopNotApplied, NotFoundError } from './errors.ts';
import { deleteSchedule } from './schedule.ts';
import { accepted, cancel, query, tell } from './talk.ts';

export interface RetrainOptions {
  /** The caller's own id: asking again with it is asking once. */
  requestId: string;
  reason: string;
}

export class LoopHandle {
  readonly name: string;
  private readonly client: Client;
  private readonly store: Store;
  private readonly by: string;
  private readonly handle: WorkflowHandle;

  constructor(client: Client, store: Store, name: string, by: string) {
    if (!isName(name))
      throw new InvalidArgument(`loop ${JSON.stringify(name)}: expected lower-case letters, digits, ".", "_" and "-"`);
    this.name = name;
    this.client = client;
    this.store = store;
    this.by = by;
    this.handle = client.workflow.getHandle(workflowIds.loop(name));
  }

  /** Starts a cycle, or joins the one that is queued. @throws LoopNotApplied, Refused, NoWorkers */
  async retrain({
    requestId,
    reason,
  }: RetrainOptions): Promise<{ cycle: string; state: Answer['state']; reason: string }> {
    const answer = accepted(await this.tell(retrainUpdate, { requestId, reason, by: this.by }));
    return { cycle: answer.id.replace(/^cycle\//, ''), state: answer.state, reason: answer.reason };
  }

  async pause(requestId: string, reason: string): Promise<Answer> {
    return await this.tell(pauseUpdate, { requestId, reason, by: this.by });
  }

  async resume(requestId: string, reason: string): Promise<Answer> {
    return await this.tell(resumeUpdate, { requestId, reason, by: this.by });
  }

  /** A hint that wakes the loop; its data program's cursor decides what is new. */
  async newData(rows?: number): Promise<void> {
    await this.orNotApplied(() => this.handle.signal(newDataSignal, rows === undefined ? {} : { rows }));
  }

  async status(): Promise<LoopStatus> {
    return await this.orNotApplied(() => query(this.client, this.handle, loopStatusQuery));
  }

  /** Reports of finished cycles, newest first; from the store, so they outlive Temporal's retention. */
  async *reports(): AsyncIterable<CycleReport> {
    for await (const { report } of cycleReports(this.store, this.name)) yield report;
  }

  /**
   * Ends the loop in good order: its running cycle is cancelled, its schedule deleted. What it has made stays in the
   * store, and `apply` goes on from there.
   * @returns `ending` when its cycle has not stopped within `waitMs`; it goes on by itself
   */
  async delete({
    waitMs,
  }: {
    waitMs: number;
  }): Promise<{ workflow: 'ended' | 'ending' | 'notRunning'; schedule: boolean }> {
    const schedule = await deleteSchedule(this.client, this.name);
    try {
      await cancel(this.client, this.handle);
    } catch (error) {
      if (error instanceof NotFoundError) return { workflow: 'notRunning', schedule };
      throw error;
    }
    return { workflow: (await this.endsWithin(waitMs)) ? 'ended' : 'ending', schedule };
  }

  private async endsWithin(waitMs: number): Promise<boolean> {
    const deadline = Date.now() + waitMs;
    while ((await this.handle.describe()).status.name === 'RUNNING') {
      if (Date.now() >= deadline) return false;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return true;
  }

  private async tell(update: Parameters<typeof tell<Request>>[2], request: Request): Promise<Answer> {
    return await this.orNotApplied(() => tell(this.client, this.handle, update, request));
  }

  private async orNotApplied<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof NotFoundError || (error instanceof Error && error.name === 'WorkflowNotFoundError'))
        throw new LoopNotApplied(`the loop ${this.name} is not running: goto3 apply <file> starts it`, {
          cause: error,
        });
      throw error;
    }
  }
}
