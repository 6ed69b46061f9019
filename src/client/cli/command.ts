import type { Command } from 'commander';
import { enterEnvironment, inheritedEnvironment, readEnvironment } from '../../stack/environment.ts';
import { findEnvironmentsFile } from '../environments-path.ts';
import { Output, type Result } from './output.ts';
import { Session } from './session.ts';

export interface SharedOptions {
  env?: string;
  json?: boolean;
  by?: string;
  requestId?: string;
}

/** A command like all of ours: description, `--json`, examples in `--help`. */
export function define(parent: Command, usage: string, description: string, examples: readonly string[]): Command {
  return parent
    .command(usage)
    .description(description)
    .option('--env <name>', 'environment of goto3.yaml (default: GOTO3_ENV, else what the file says)')
    .option('--json', 'print exactly one JSON document on stdout')
    .option('--verbose', 'show the stack of an error that was not foreseen')
    .addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ goto3 ${example}`).join('\n')}`);
}

/** A command that asks for something in somebody's name. */
export function defineRequest(
  parent: Command,
  usage: string,
  description: string,
  examples: readonly string[],
): Command {
  return define(parent, usage, description, examples)
    .option('--by <name>', 'who asks, for the record (default: account@host)')
    .option('--request-id <id>', "the request's own name: asking twice with it is asking once (default: a new UUID)");
}

/** Why, for the record; without a default it has to be given. */
export function withReason(command: Command, fallback?: string): Command {
  return fallback === undefined
    ? command.requiredOption('--reason <text>', 'why, for the record')
    : command.option('--reason <text>', 'why, for the record', fallback);
}

/** A group of commands, such as `goto3 loop`. */
export const group = (parent: Command, name: string, description: string): Command =>
  parent.command(name).description(description);

/**
 * Turns "facts out" into a commander action: opens a session, prints the result, closes. An action that has printed for
 * itself returns nothing.
 */
export function runs<O extends object, A extends unknown[] = []>(
  run: (session: Session, options: O & SharedOptions, ...args: A) => Promise<Result | undefined>,
): (...parameters: unknown[]) => Promise<void> {
  return async (...parameters) => {
    // Commander passes the arguments, then the options, then the command.
    const options = parameters.at(-2) as O & SharedOptions;
    await enter(options.env);
    const environment = readEnvironment();
    const output = new Output({ json: options.json === true, color: environment.color });
    const session = new Session(environment, output, options);
    try {
      const result = await run(session, options, ...(parameters.slice(0, -2) as A));
      if (!result) return;
      output.result(result);
      process.exitCode = result.exitCode ?? 0;
    } finally {
      await session.close();
    }
  };
}

/** Before anything is read: `--env`, GOTO3_ENV, or the default of a goto3.yaml that is here. */
async function enter(asked: string | undefined): Promise<void> {
  const set = inheritedEnvironment();
  const name = asked ?? (set.GOTO3_ENV || undefined);
  if (name === undefined && findEnvironmentsFile(process.cwd()) === undefined) return;
  const { chosenVariables } = await import('../environments.ts');
  enterEnvironment(chosenVariables(name, process.cwd(), set));
}
