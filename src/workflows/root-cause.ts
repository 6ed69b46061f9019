/** The innermost message: what a person should read instead of "Activity task failed". */
export function rootCause(error: unknown): string {
  let innermost = error;
  while (innermost instanceof Error && innermost.cause instanceof Error) innermost = innermost.cause;
  const message = innermost instanceof Error ? innermost.message : String(innermost);
  return message.slice(0, 2_000) || 'unknown error';
}
