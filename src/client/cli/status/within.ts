/** One part of the page, or why it is missing: the others are shown all the same. */
export type Part<T> = { value: T; problem?: undefined } | { value?: undefined; problem: string };

/** Never waits longer than `ms`, whatever the work does. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<Part<T>> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Part<T>>((resolve) => {
    timer = setTimeout(() => resolve({ problem: `${what}: no answer within ${ms / 1_000} s` }), ms);
  });
  const answer = work.then(
    (value): Part<T> => ({ value }),
    (error: unknown): Part<T> => ({ problem: `${what}: ${error instanceof Error ? error.message : String(error)}` }),
  );
  return await Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
