import { type Logger, pino } from 'pino';

/** One event a line, JSON on stderr; ids are fields (`loop`, `cycle`, `job`, `endpoint`, `digest`), never input text. */
export const createLog = (process: string): Logger =>
  pino(
    { base: { process }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    pino.destination(2),
  );

export type { Logger };
