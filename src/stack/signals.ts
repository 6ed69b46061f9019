/**
 * SIGTERM and SIGINT stop the stack in good order; a second one stops waiting for children that take their time. A closed
 * terminal (SIGHUP) is left to its default: `up` dies, its children serve on, the next `up` takes them over.
 * @returns a function that takes the handlers away
 */
export function stopOnSignals(stack: { stop(): Promise<void> }): () => void {
  const stop = (): void => void stack.stop();
  process.on('SIGTERM', stop).on('SIGINT', stop);
  return () => process.off('SIGTERM', stop).off('SIGINT', stop);
}
