import type { Goto3 } from '../../../src/client/connect.ts';
import { Goto3Error } from '../../../src/client/errors.ts';
import type { CycleStatus, LoopStatus } from '../../../src/contracts/messages.ts';
import { until } from './until.ts';

/** Somebody has to approve, retry or resume, and nobody sits beside the replay. */
export class NeedsPerson extends Goto3Error {
  override readonly name = 'NeedsPerson';
}

export interface LoopWatchOptions {
  loop: string;
  signal: AbortSignal;
  onCycle: (status: CycleStatus) => void;
  /** Says what a cycle waits for; without one the wait ends with `NeedsPerson`. Asked once for each thing. */
  operator?: ((waiting: CycleStatus) => Promise<void>) | undefined;
}

const lookEveryMs = 250;
/** A cycle of the demo takes some twenty seconds; this is ten times the worst that was seen. */
const longestMs = 10 * 60_000;
/** A worker that is restarted, a query that comes too early. */
const silenceMs = 60_000;

/**
 * Waits until the loop has looked at the data that was announced at `announcedAtMs` and has nothing left to do.
 * @throws NeedsPerson with the command that unblocks it
 */
export async function untilLoopIsIdle(
  goto3: Goto3,
  announcedAtMs: number,
  { loop, signal, onCycle, operator }: LoopWatchOptions,
): Promise<LoopStatus> {
  let answeredSinceMs: number | undefined;
  let heardAtMs = Date.now();
  const statusOfLoop = async (): Promise<LoopStatus | undefined> => {
    try {
      const status = await goto3.loop(loop).status();
      heardAtMs = Date.now();
      return status;
    } catch (error) {
      if (Date.now() - heardAtMs > silenceMs) throw error;
      return undefined;
    }
  };
  // The cycle is watched beside the loop: what it is at is for show, and must not hold the replay up.
  let cycle: CycleStatus | undefined;
  let isAsking = false;
  let watching = true;
  const askCycle = (n: number): void => {
    if (isAsking) return;
    isAsking = true;
    void goto3
      .cycle(`${loop}/${n}`)
      .status()
      .then((status) => {
        cycle = status;
        if (watching) onCycle(status);
      })
      // It has ended since, or has not begun: the next look tells.
      .catch(() => undefined)
      .finally(() => {
        isAsking = false;
      });
  };
  const look = async (): Promise<LoopStatus | undefined> => {
    const status = await statusOfLoop();
    if (!status) return undefined;
    const { running, state, paused, queued, dataAskedAtMs } = status;
    if (paused) throw new NeedsPerson(`the loop is paused by ${paused.by}: ${paused.reason}`);
    // Between a number that is taken and a cycle that runs there is neither: the loop says that it is at work.
    if (!running) return state !== 'running' && !queued && (dataAskedAtMs ?? 0) >= announcedAtMs ? status : undefined;
    askCycle(running.n);
    if (cycle?.n === running.n && cycle.command) {
      if (!operator) throw new NeedsPerson(`cycle ${cycle.n} waits for a person: ${cycle.waitsFor}\n${cycle.command}`);
      // What was seen last may be older than what was said.
      if (cycle.sinceMs !== answeredSinceMs) {
        answeredSinceMs = cycle.sinceMs;
        await operator(cycle);
      }
    }
    return undefined;
  };
  try {
    return await until(look, { everyMs: lookEveryMs, withinMs: longestMs, signal, what: `the loop ${loop} is idle` });
  } finally {
    watching = false;
  }
}
