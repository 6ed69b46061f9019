import { setTimeout as delay } from 'node:timers/promises';

const firstDelayMs = 50;
const maxDelayMs = 2_000;
const attempts = 8;

/**
 * Runs a step until it answers; `again(error)` asks for another try after a random wait below a ceiling that doubles
 * ("full jitter", AWS Architecture Blog 2015). The last `again` throws its error.
 */
export async function patiently<T>(step: (again: (error: Error) => Promise<T>) => Promise<T>): Promise<T> {
  let attempt = 1;
  const again = async (error: Error): Promise<T> => {
    if (attempt >= attempts) throw error;
    await delay(Math.random() * Math.min(maxDelayMs, firstDelayMs * 2 ** attempt));
    attempt += 1;
    return await step(again);
  };
  return await step(again);
}
