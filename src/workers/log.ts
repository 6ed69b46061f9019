import { DefaultLogger } from '@temporalio/worker';
import { type Logger, pino } from 'pino';

/** One event a line, JSON on stderr; ids are fields (`loop`, `cycle`, `job`, `endpoint`, `digest`), never input text. */
export const createLog = (process: string): Logger =>
  pino(
    { base: { process }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    pino.destination(2),
  );

/**
 * What the SDK and workflows have to say, as lines of ours. Messages of failures may quote what was sent: where payloads are
 * encoded, `tellsFailures` is false, and a line has the failure's type alone; the message is in the history, encoded.
 */
export const sdkLogger = (log: Logger, { tellsFailures }: { tellsFailures: boolean }): DefaultLogger =>
  new DefaultLogger('INFO', ({ level, message, meta }) => {
    const { error, problem, ...fields } = (meta ?? {}) as { error?: unknown; problem?: unknown };
    const failure = tellsFailures
      ? { ...(error instanceof Error && { err: error }), ...(problem !== undefined && { problem }) }
      : { ...(error instanceof Error && { failure: typeOf(error) }) };
    log[level === 'WARN' ? 'warn' : level === 'ERROR' ? 'error' : 'info']({ ...fields, ...failure }, message);
  });

const typeOf = (error: Error): string => ('type' in error && typeof error.type === 'string' ? error.type : error.name);

export type { Logger };
