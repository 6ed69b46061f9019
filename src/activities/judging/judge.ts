import { Worker } from 'node:worker_threads';
import type { Answered, Questions, Subject } from './messages.ts';

interface Waiting {
  resolve: (answer: never) => void;
  reject: (error: Error) => void;
}

let thread: Worker | undefined;
let lastId = 0;
const waiting = new Map<number, Waiting>();

/**
 * Metrics and verdicts, counted in a thread of this process: it is started by the first question, stays, and keeps no
 * process alive. Errors come back with their type.
 */
export async function ask<S extends Subject>(
  subject: S,
  question: Questions[S]['ask'],
): Promise<Questions[S]['answer']> {
  thread ??= start();
  const worker = thread;
  const id = ++lastId;
  if (waiting.size === 0) worker.ref();
  return await new Promise<Questions[S]['answer']>((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, subject, ask: question });
  }).finally(() => {
    waiting.delete(id);
    if (waiting.size === 0) worker.unref();
  });
}

function start(): Worker {
  const worker = new Worker(new URL('./start.mjs', import.meta.url), { execArgv: [], env: {} });
  worker.on('message', (answered: Answered) => {
    const asker = waiting.get(answered.id);
    if ('answer' in answered) asker?.resolve(answered.answer as never);
    else asker?.reject(Object.assign(new Error(answered.error.message), answered.error));
  });
  const end = (error: Error): void => {
    if (thread === worker) thread = undefined;
    for (const { reject } of waiting.values()) reject(error);
  };
  worker.on('error', end);
  worker.on('exit', (code) => end(new Error(`the thread that counts ended with exit code ${code}`)));
  return worker;
}
