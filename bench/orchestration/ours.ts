import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { noted } from './notes.ts';
import { type BenchStack, startStack } from './stack.ts';
import { sevenSteps, slowStep, stepCount, stepQueue, workflowsQueue } from './workflow.ts';

export interface OurRun {
  seconds: number;
  /** From one step's end to the next one's; the first from the start of the workflow. */
  stepMs: number[];
}

const workflowsWorker = 'worker-workflows';
const startedWithinMs = 120_000;

/** The server and eight worker processes, under the supervisor of `up`. */
export class Ours {
  readonly stack: BenchStack;
  private readonly connection: Connection;
  private readonly client: Client;
  private runs = 0;

  private constructor(stack: BenchStack, connection: Connection) {
    this.stack = stack;
    this.connection = connection;
    this.client = new Client({ connection });
  }

  static async start(): Promise<Ours> {
    const program = new URL('./worker.ts', import.meta.url);
    const stack = await startStack([
      { name: workflowsWorker, program, args: ['--queue', workflowsQueue, '--workflows'] },
      ...Array.from({ length: stepCount }, (_, i) => ({
        name: `worker-step-${i + 1}`,
        program,
        args: ['--queue', stepQueue(i + 1)],
      })),
    ]);
    return new Ours(stack, await Connection.connect({ address: stack.address }));
  }

  async run(notes: string): Promise<OurRun> {
    const startedMs = performance.now();
    const handle = await this.begin(notes, 0);
    await handle.result();
    const seconds = (performance.now() - startedMs) / 1_000;
    return { seconds, stepMs: await stepTimes(handle) };
  }

  /** Server and workflow worker are killed in the fourth step; the supervisor does the rest. */
  async runKilled(notes: string, slowSeconds: number): Promise<{ seconds: number }> {
    const startedMs = performance.now();
    const handle = await this.begin(notes, slowSeconds);
    await noted(notes, `${slowStep} began`, startedWithinMs);
    for (const name of ['temporal', workflowsWorker]) process.kill(this.stack.pid(name), 'SIGKILL');
    const ended = this.client.workflow.getHandle(handle.workflowId);
    for (;;) {
      try {
        await ended.result();
        break;
      } catch (error) {
        // The client of this benchmark is told that the server is away, and asks again.
        if (performance.now() - startedMs > startedWithinMs) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    return { seconds: (performance.now() - startedMs) / 1_000 };
  }

  private async begin(notes: string, slowSeconds: number): Promise<WorkflowHandle> {
    return await this.client.workflow.start(sevenSteps, {
      ...{ workflowId: `cycle/${++this.runs}`, taskQueue: workflowsQueue },
      args: [{ notes, slowSeconds }],
    });
  }

  async stop(): Promise<void> {
    await this.connection.close();
    await this.stack.stop();
  }
}

async function stepTimes(handle: WorkflowHandle): Promise<number[]> {
  const { events } = await handle.fetchHistory();
  const msOf = ({ seconds, nanos }: { seconds?: unknown; nanos?: number | null }): number =>
    Number(seconds) * 1_000 + (nanos ?? 0) / 1e6;
  const times = (events ?? [])
    .filter((event) => event.workflowExecutionStartedEventAttributes ?? event.activityTaskCompletedEventAttributes)
    .map(({ eventTime }) => msOf(eventTime!));
  return times.slice(1).map((time, i) => time - times[i]!);
}
