import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { createProgram } from '../../../src/client/cli/program.ts';

function* leaves(
  command: Command,
  path: readonly string[] = [],
): Iterable<[path: readonly string[], command: Command]> {
  if (command.commands.length === 0) yield [path, command];
  for (const child of command.commands) yield* leaves(child, [...path, child.name()]);
}

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}

describe('help', () => {
  const commands = [...leaves(createProgram())];

  for (const [path, command] of commands)
    it(`goto3 ${path.join(' ')} has a description, --json and an example of itself`, () => {
      const help = helpOf(command);
      assert.ok(command.description().length > 0);
      assert.match(help, /--json/);
      const examples = help.split('Examples:\n')[1] ?? '';
      assert.match(examples, new RegExp(`\\$ goto3 ${path.join(' ')}( |$)`, 'm'));
    });

  it('has every command of the issue', () => {
    const names = commands.map(([path]) => path.join(' '));
    const wanted = [
      ...['up', 'down', 'doctor', 'status', 'validate', 'schema', 'apply', 'worker', 'verdict replay'],
      ...['list', 'status', 'retrain', 'pause', 'resume', 'delete'].map((c) => `loop ${c}`),
      ...['list', 'show', 'approve', 'reject', 'retry', 'cancel', 'accept-data', 'drop-data', 'logs', 'explain'].map(
        (c) => `cycle ${c}`,
      ),
      ...['status', 'rollback', 'freeze', 'unfreeze', 'shadow'].map((c) => `endpoint ${c}`),
      ...['list', 'show', 'lineage', 'at'].map((c) => `models ${c}`),
      ...['list', 'logs', 'cancel'].map((c) => `job ${c}`),
      ...['store verify', 'store gc'],
      ...['list', 'pause', 'unpause', 'trigger'].map((c) => `schedule ${c}`),
    ];
    assert.deepEqual(
      wanted.filter((name) => !names.includes(name)),
      [],
    );
  });

  it('documents the environment and the exit codes', () => {
    const help = helpOf(createProgram());
    for (const text of ['GOTO3_HOME', 'TEMPORAL_ADDRESS', 'NO_COLOR', 'Exit codes:'])
      assert.ok(help.includes(text), text);
  });
});
