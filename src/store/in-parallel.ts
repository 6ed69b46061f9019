/**
 * Works on many items, a few at a time, and gives the answers in the items' order. The first failure ends it: no further
 * item is begun, and it rejects when those under way have ended.
 */
export async function inParallel<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const answers: R[] = new Array(items.length);
  let next = 0;
  let failed: { error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const at = next++;
      try {
        answers[at] = await work(items[at]!);
      } catch (error) {
        failed ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  if (failed) throw failed.error;
  return answers;
}

/** The same for answers that are used one after the other: at most `atOnce` of them are there at a time. */
export async function* ahead<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  for (let start = 0; start < items.length; start += atOnce)
    yield* await inParallel(items.slice(start, start + atOnce), atOnce, work);
}
