import assert from 'node:assert/strict';
import { invariants } from '../checker/check.ts';
import { collectEvidence } from '../checker/collect.ts';
import { keepRow } from './fault-row.ts';
import type { StackUnderFault } from './stack.ts';

/** Violations of these are something that happened twice; of the others, something lost or wrong. */
const twice = new Set(['noJobRunsTwice', 'attemptsFollowFailures', 'cyclesAreNumberedOnce', 'requestsAreAnsweredOnce']);

/** A fault from its injection to the checker's word. A story that is not told to its end leaves no row. */
export class Story {
  private readonly stack: StackUnderFault;
  private readonly fault: string;
  private fired: { what: string; atMs: number } | undefined;
  private continuedAtMs: number | undefined;
  private commandsTyped = 0;
  private personActedAtMs = 0;

  constructor(stack: StackUnderFault, fault: string) {
    this.stack = stack;
    this.fault = fault;
  }

  /** The fault has happened; `what` is what proves it. */
  hasFired(what: string, atMs = Date.now()): void {
    this.fired = { what, atMs };
  }

  get firedAtMs(): number {
    assert.ok(this.fired, `${this.fault}: the fault has not fired`);
    return this.fired.atMs;
  }

  /** A `goto3` command that somebody has to type because of the fault: the clock runs from it on. */
  async type(...argv: string[]): Promise<string> {
    this.typed();
    return await this.stack.type(...argv);
  }

  typed(): void {
    this.commandsTyped += 1;
    this.personActedAtMs = Date.now();
  }

  /** What the fault hit works again; the first call counts. */
  goesOn(atMs = Date.now()): void {
    this.continuedAtMs ??= atMs;
  }

  /** Asks the checker, keeps the row, and fails on any violation. */
  async end({ note }: { note?: string } = {}): Promise<void> {
    const { fired, continuedAtMs } = this;
    assert.ok(fired, `${this.fault}: the fault never fired`);
    assert.ok(continuedAtMs !== undefined, `${this.fault}: nobody saw it go on`);
    const { personActedAtMs, commandsTyped } = this;
    const evidence = await collectEvidence(this.stack);
    const broken = Object.entries(invariants).flatMap(([name, holds]) =>
      holds(evidence).map((what) => ({ name, what })),
    );
    await keepRow({
      fault: this.fault,
      fired: fired.what,
      lost: broken.filter(({ name }) => !twice.has(name)).length,
      runTwice: broken.filter(({ name }) => twice.has(name)).length,
      commandsTyped,
      secondsToContinue: Math.round(Math.max(0, continuedAtMs - Math.max(fired.atMs, personActedAtMs)) / 100) / 10,
      ...(note && { note }),
    });
    assert.deepEqual(
      broken.map(({ name, what }) => `${name}: ${what}`),
      [],
      this.fault,
    );
  }
}
