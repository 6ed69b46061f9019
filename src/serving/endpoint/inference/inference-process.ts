import type { Worker } from 'node:worker_threads';
// The native addon has to be loaded by the main thread before any other thread does (onnxruntime #24486).
import 'onnxruntime-node';
import { endWithParent, startThread } from '../../program.ts';
import type { FromLane, MemoryReport, ToInference } from './messages.ts';

/**
 * The inference process: passes messages between the endpoint and the threads that hold sessions. Anything unexpected
 * ends it at once; the endpoint then starts another one and asks again.
 */
const lanes = new Map<number, Worker>();
/** Threads without a model. One is always there, so that a swap takes no longer than loading the model. */
const spares: Worker[] = [startSessionThread()];

process.on('message', (message) => {
  const request = message as ToInference;
  if (request.op === 'open') lanes.set(request.lane, spares.pop() ?? startSessionThread());
  lanes.get(request.lane)?.postMessage(request);
});
endWithParent();
setInterval(tellMemory, 1_000).unref();
// Only the endpoint decides when serving ends; a terminal's Ctrl-C reaches the whole process group.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});

function startSessionThread(): Worker {
  const thread = startThread(new URL('./session-thread.ts', import.meta.url));
  thread.on('message', (message: FromLane) => {
    if (message.op === 'closed' || message.op === 'notOpened') {
      lanes.delete(message.lane);
      spares.push(thread);
    } else if (message.op === 'opened' && spares.length === 0) {
      spares.push(startSessionThread());
    }
    if (message.op !== 'closed') process.send!(message);
    // What the model takes by being there, before its first answer: growth counts from here.
    if (message.op === 'opened') tellMemory();
  });
  thread.on('error', (error) => {
    console.error(`inference thread failed: ${error.stack ?? error.message}`);
    process.exit(1);
  });
  thread.on('exit', () => process.exit(1));
  return thread;
}

function tellMemory(): void {
  if (process.connected)
    process.send!({ op: 'memory', residentBytes: process.memoryUsage.rss() } satisfies MemoryReport);
}
