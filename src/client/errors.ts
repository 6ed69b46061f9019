/** What callers can switch on; messages say what to do next. */
export class Goto3Error extends Error {
  override readonly name: string = 'Goto3Error';
}

/** The loop's workflow does not run: nobody applied it, or it has ended. */
export class LoopNotApplied extends Goto3Error {
  override readonly name = 'LoopNotApplied';
}

/** A message was understood and turned down: frozen, paused, out of budget, not an approver. */
export class Refused extends Goto3Error {
  override readonly name = 'Refused';
}

/** Nothing took the message within 10 s: no `control` worker runs, or it is stuck. */
export class NoWorkers extends Goto3Error {
  override readonly name = 'NoWorkers';
}

export class NoServer extends Goto3Error {
  override readonly name = 'NoServer';
}

/** A file or an argument that does not fit; each line names a field and what was expected. */
export class InvalidFile extends Goto3Error {
  override readonly name = 'InvalidFile';
  readonly problems: readonly string[];

  constructor(what: string, problems: readonly string[]) {
    super(`${what}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

/** A name or another argument that does not fit; the message says what was expected. */
export class InvalidArgument extends Goto3Error {
  override readonly name = 'InvalidArgument';
}

export class NotFoundError extends Goto3Error {
  override readonly name: string = 'NotFoundError';
}

/** Its workflow does not run: it has not begun, or it has ended. */
export class NotRunning extends NotFoundError {
  override readonly name = 'NotRunning';
}
