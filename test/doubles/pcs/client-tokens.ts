import { isDeepStrictEqual } from 'node:util';
import { conflict } from './api-error.ts';
import { checkToken } from './checks.ts';
import type { Fields } from './resource.ts';

/**
 * "Retries with the same client token return the result from the original successful request" (clientToken of every
 * operation that has one). The same token with another request: assumed to be a ConflictException. Kept for ever: assumed.
 */
export class ClientTokens {
  readonly #answers = new Map<string, { input: Fields; answer: Fields }>();

  once(operation: string, input: Fields, run: () => Fields): Fields {
    checkToken(input);
    if (input.clientToken === undefined) return run();
    const token = String(input.clientToken);
    const before = this.#answers.get(`${operation} ${token}`);
    if (before && !isDeepStrictEqual(before.input, input))
      throw conflict('ClientToken', token, 'The client token was used with other parameters.');
    const answer = before?.answer ?? structuredClone(run());
    this.#answers.set(`${operation} ${token}`, { input, answer });
    return answer;
  }
}
