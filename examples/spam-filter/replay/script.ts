import type { CycleStatus } from '../../../src/contracts/messages.ts';

/** Labels that the next cycle will be the first to see: those of mails that arrived after `after` and not after `until`. */
export interface NewLabels {
  cycle: number;
  /** ISO. */
  after: string;
  until: string;
}

/** The replay waits for each of these before it goes on; without an operator, what needs a person ends it. */
export interface ReplayScript {
  beforeLabels?(labels: NewLabels): Promise<void>;
  /** Seen now and then while a cycle runs. */
  onCycle?(status: CycleStatus): void;
  operator?(waiting: CycleStatus): Promise<void>;
  afterCycle?(ended: EndedCycle): Promise<void>;
}

export interface EndedCycle {
  n: number;
  outcome: string;
  detail: string;
}
