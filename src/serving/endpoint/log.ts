import type { Logger } from 'pino';

/** What the endpoint needs of a logger; one event a line, with ids, never with input text. */
export type Log = Pick<Logger, 'info' | 'warn' | 'error'>;
