import type { IncomingMessage } from 'node:http';
import type { ByteBudget } from './byte-budget.ts';
import { HttpProblem, invalid, tryLater } from './problem.ts';

/**
 * Reads a body by counting what really comes, whatever its headers promise. The bytes are taken from the budget; the
 * caller gives them back. @throws HttpProblem 400, 413, 503
 */
export async function readBody(request: IncomingMessage, limitBytes: number, budget: ByteBudget): Promise<Buffer> {
  const tooLarge = (): HttpProblem =>
    new HttpProblem(413, 'BodyTooLarge', `the body has more than ${limitBytes} bytes`, { connection: 'close' });
  if (Number(request.headers['content-length'] ?? 0) > limitBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const stop = (error: Error): void => {
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      budget.give(size);
      reject(error);
    };
    const onData = (chunk: Buffer): void => {
      if (size + chunk.length > limitBytes) stop(tooLarge());
      else if (!budget.take(chunk.length))
        stop(tryLater('Overloaded', 'too much request data is being read, try again later'));
      else {
        size += chunk.length;
        chunks.push(chunk);
      }
    };
    const onEnd = (): void => {
      request.off('close', onGone);
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
    };
    const onGone = (): void => stop(invalid('the body ended before it was complete'));
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}
