import { readFile } from 'node:fs/promises';
import type { Client } from '@temporalio/client';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { retrainingLoop } from '../../src/workflows/index.ts';
import { loopStatusQuery } from '../../src/workflows/messages.ts';
import { type Spread, spread } from '../orchestration/spread.ts';
import type { BenchStack } from '../orchestration/stack.ts';
import { someDigest } from './activities.ts';

export interface IdleLoops {
  bytesPerLoop: number;
  cachedWorkflows: number;
  serverMiB: number;
  statusMs: Spread;
}

const atOnce = 20;
/** The worker has compiled everything and made its threads when so many loops wait. */
const warmUp = 20;

/** Starts loops that wait for a request, then asks each for its status, one after the other. */
export async function idleLoops(stack: BenchStack, client: Client, loops: number): Promise<IdleLoops> {
  await startLoops(client, 'warm', warmUp);
  const before = await residentBytes(stack.pid('worker-control'));
  await startLoops(client, 'idle', loops);
  const after = await residentBytes(stack.pid('worker-control'));
  const statusMs: number[] = [];
  for (let i = 0; i < loops; i++) {
    const askedMs = performance.now();
    await client.workflow.getHandle(workflowIds.loop(`idle-${i}`)).query(loopStatusQuery);
    statusMs.push(performance.now() - askedMs);
  }
  const { numCachedWorkflows } = (await (await fetch(`${stack.healthUrl('worker-control')}/metrics`)).json()) as {
    numCachedWorkflows: number;
  };
  return {
    bytesPerLoop: (after - before) / loops,
    cachedWorkflows: numCachedWorkflows,
    serverMiB: (await residentBytes(stack.pid('temporal'))) / 2 ** 20,
    statusMs: spread(statusMs),
  };
}

/** What a loop leaves in its history until it waits: it began, read its spec, and started a timer. */
const eventsUntilIdle = 11;

/** Returns when each of them has read its spec and waits. */
async function startLoops(client: Client, kind: string, count: number): Promise<void> {
  for (let i = 0; i < count; i += atOnce)
    await Promise.all(
      Array.from({ length: Math.min(atOnce, count - i) }, async (_, j) => {
        const loop = `${kind}-${i + j}`;
        const handle = await client.workflow.start(retrainingLoop, {
          ...{ workflowId: workflowIds.loop(loop), taskQueue: taskQueues.control },
          args: [{ loop, specDigest: someDigest }],
        });
        // Asked of the server alone: a question to the loop would be an activation that an idle loop does not have.
        while ((await handle.describe()).historyLength < eventsUntilIdle)
          await new Promise((resolve) => setTimeout(resolve, 50));
      }),
    );
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]);
}
