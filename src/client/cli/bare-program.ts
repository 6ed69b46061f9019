import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { environmentVariables } from '../../stack/environment.ts';
import { exitCodeHelp } from './errors.ts';

/** A command line of these commands, as commander's tree; nothing has been parsed or loaded yet. */
export function programWith(groups: readonly ((program: Command) => void)[]): Command {
  const program = new Command('goto3')
    .description('Machine-learning loops that never stop, durable on Temporal.')
    .version(version(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .helpCommand('help [command]', 'show what a command does, with examples')
    .showHelpAfterError('(add --help for options and examples)')
    .exitOverride()
    .addHelpText('after', `\n${environmentHelp()}\n\n${exitCodeHelp}\n\n${firstSteps}`);
  for (const register of groups) register(program);
  return program;
}

const firstSteps = `Examples:
  $ goto3 up                                        start Temporal, four workers and the endpoints; Ctrl-C stops them
  $ goto3 apply examples/spam-filter/loop.yaml      make a loop what its file says
  $ goto3 status                                    everything on one page
  $ goto3 loop --help                               what can be done with a loop`;

function environmentHelp(): string {
  const widest = Math.max(...environmentVariables.map(({ name }) => name.length));
  const lines = environmentVariables.map(
    ({ name, meaning, fallback }) => `  ${name.padEnd(widest)}  ${meaning} (default: ${fallback})`,
  );
  return ['Environment:', ...lines, `  ${'DEBUG'.padEnd(widest)}  Set to anything: as --verbose`].join('\n');
}

const version = (): string =>
  (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
