import { CommanderError } from 'commander';
import { Goto3Error, InvalidFile } from '../errors.ts';
import type { Output } from './output.ts';

export const exitCodes = { ok: 0, failed: 1, usage: 2, refused: 3, notRunning: 4 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeHelp = `Exit codes:
  0  done
  1  failed, or checked and found wrong
  2  usage, an invalid file or argument; nothing was started
  3  understood and refused: frozen, paused, out of budget, not an approver, somebody was faster
  4  not running: no Temporal server, no worker, no such loop, cycle or endpoint at work`;

/** Errors that a caller can act on, by name: their modules are heavy and need not be loaded to be told apart. */
const exitCodeOf: Readonly<Record<string, ExitCode>> = {
  InvalidFile: exitCodes.usage,
  InvalidArgument: exitCodes.usage,
  InvalidInput: exitCodes.usage,
  InvalidCodecKey: exitCodes.usage,
  InvalidSigning: exitCodes.usage,
  SignatureRefused: exitCodes.refused,
  UnitError: exitCodes.usage,
  OnnxError: exitCodes.usage,
  Refused: exitCodes.refused,
  StackLocked: exitCodes.refused,
  RefConflict: exitCodes.refused,
  NoServer: exitCodes.notRunning,
  NoWorkers: exitCodes.notRunning,
  NotRunning: exitCodes.notRunning,
  LoopNotApplied: exitCodes.notRunning,
};

/** Expected failures of our own rooms: their message is all that a person needs. */
const understood = new Set([
  ...Object.keys(exitCodeOf),
  'NotFound',
  'NotFoundError',
  'CorruptBlob',
  'CodecKeyMissing',
  'PayloadRefused',
  'CorruptLog',
  'StoreUnavailable',
  'StackNotReady',
  'TemporalCliMissing',
  'DatabaseVersionMismatch',
  'JobNotFound',
  'JobConflict',
  'InvalidJob',
]);

/** What to do about it, where the message does not say so itself. */
const advice: Readonly<Record<string, string>> = {
  RefConflict: 'Somebody else was faster: look at what is there now, and ask again.',
  CorruptBlob: 'Run `goto3 store verify` to see what else is damaged.',
  CorruptLog: 'Run `goto3 store verify` to see what else is damaged.',
  StoreUnavailable: 'Nothing is half done: free some space or repair the disk, and run it again.',
};

export interface Failure {
  exitCode: ExitCode;
  error: { type: string; message: string; problems?: readonly string[] };
  /** Only where the error was not foreseen. */
  stack?: string;
}

/** What an error means for a caller; undefined when commander has only printed help. */
export function failureOf(error: unknown): Failure | undefined {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return undefined;
    const message = error.message === '(outputHelp)' ? 'expected a command' : error.message.replace(/^error: /, '');
    return { exitCode: exitCodes.usage, error: { type: 'Usage', message } };
  }
  if (!(error instanceof Error))
    return { exitCode: exitCodes.failed, error: { type: 'Error', message: String(error) } };
  const { name, message, stack } = error;
  const exitCode = exitCodeOf[name] ?? exitCodes.failed;
  const problems = error instanceof InvalidFile ? { problems: error.problems } : {};
  const foreseen = error instanceof Goto3Error || understood.has(name);
  return { exitCode, error: { type: name, message, ...problems }, ...(!foreseen && stack !== undefined && { stack }) };
}

/** Prints a failure and gives the exit code. */
export function report(error: unknown, output: Output, { verbose }: { verbose: boolean }): ExitCode {
  const failure = failureOf(error);
  if (!failure) return exitCodes.ok;
  const { exitCode, stack } = failure;
  const { type, message } = failure.error;
  // Commander has printed its own message, with the usage.
  if (type !== 'Usage') output.note(`goto3: ${message}`);
  if (advice[type]) output.note(advice[type]);
  if (stack !== undefined)
    output.note(verbose ? stack : 'This was not foreseen; --verbose (or DEBUG=1) shows where it happened.');
  if (output.json) output.result({ document: { error: failure.error, exitCode }, text: '' });
  return exitCode;
}
