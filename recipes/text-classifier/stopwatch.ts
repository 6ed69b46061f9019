/** True at most once in so many seconds; with 0, always. */
export function stopwatch(seconds: number): () => boolean {
  let last = performance.now();
  return () => {
    const now = performance.now();
    if (now - last < seconds * 1_000) return false;
    last = now;
    return true;
  };
}
