import { type Command, Option } from 'commander';
import { type TaskQueue, taskQueues } from '../../../contracts/names.ts';
import { define, runs } from '../command.ts';

export function registerWorker(program: Command): void {
  define(program, 'worker', 'run one worker in the foreground; Ctrl-C lets it save and leave', [
    'worker --queue gpu                                on a machine with GPUs',
    'worker --queue control --health-port 9100         /healthz and /metrics at that port',
  ])
    .addOption(new Option('--queue <queue>', 'what it works on').choices(Object.keys(taskQueues)).makeOptionMandatory())
    .option('--health-port <port>', 'port of /healthz and /metrics; 0: any', '0')
    .action(
      runs<{ queue: TaskQueue; healthPort: string }>(async (session, { queue, healthPort }) => {
        const { runWorker } = await import('../run-worker.ts');
        // Asked once from here: what is wrong with the server is said in a sentence, not by a stack of the worker's.
        const { address } = await session.goto3();
        await session.close();
        const { environment, output } = session;
        const exitCode = await runWorker({ environment, address, queue, healthPort, logToStderr: output.json });
        return { document: { queue, exitCode }, text: '', exitCode };
      }),
    );
}
