import assert from 'node:assert/strict';
import { CommanderError } from 'commander';
import { exitCodeHelp, exitCodes, failureOf } from '../../../src/client/cli/errors.ts';
import * as clientErrors from '../../../src/client/errors.ts';
import { CorruptBlob, InvalidInput, RefConflict } from '../../../src/store/errors.ts';

describe('exit codes', () => {
  const digest = `sha256:${'a'.repeat(64)}` as const;
  const rows: [error: Error, exitCode: number][] = [
    [new clientErrors.InvalidFile('loop.yaml', ['loop: missing']), exitCodes.usage],
    [new clientErrors.InvalidArgument('x'), exitCodes.usage],
    [new InvalidInput('x'), exitCodes.usage],
    [new clientErrors.Refused('frozen'), exitCodes.refused],
    [new RefConflict('loops/a/spec', 'moved', undefined), exitCodes.refused],
    [new clientErrors.NoServer('x'), exitCodes.notRunning],
    [new clientErrors.NoWorkers('x'), exitCodes.notRunning],
    [new clientErrors.NotRunning('x'), exitCodes.notRunning],
    [new clientErrors.LoopNotApplied('x'), exitCodes.notRunning],
    [new clientErrors.NotFoundError('x'), exitCodes.failed],
    [new clientErrors.Goto3Error('x'), exitCodes.failed],
    [new CorruptBlob(digest, digest), exitCodes.failed],
  ];
  for (const [error, exitCode] of rows)
    it(`${error.name} → ${exitCode}, without a stack`, () => {
      const failure = failureOf(error)!;
      assert.equal(failure.exitCode, exitCode);
      assert.equal(failure.error.type, error.name);
      assert.equal(failure.stack, undefined);
    });

  it('keeps the stack of an error that nobody foresaw', () => {
    const failure = failureOf(new TypeError('x is not a function'))!;
    assert.equal(failure.exitCode, exitCodes.failed);
    assert.match(failure.stack!, /errors\.test/);
  });

  it('is no failure when help was asked for, and usage when it was needed', () => {
    assert.equal(failureOf(new CommanderError(0, 'commander.helpDisplayed', '(outputHelp)')), undefined);
    assert.equal(failureOf(new CommanderError(1, 'commander.help', '(outputHelp)'))!.exitCode, exitCodes.usage);
  });

  it('is documented, every one of them', () => {
    for (const code of Object.values(exitCodes)) assert.match(exitCodeHelp, new RegExp(`^ {2}${code} {2}`, 'm'));
  });
});
