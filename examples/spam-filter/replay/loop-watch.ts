import type { Goto3 } from '../../../src/client/connect.ts';
import { Goto3Error } from '../../../src/client/errors.ts';
import type { CycleStatus, LoopStatus } from '../../../src/contracts/messages.ts';
import { until } from './until.ts';

/** Nobody sits beside the replay to approve, retry or resume. */
export class NeedsPerson extends Goto3Error {
  override readonly name = 'NeedsPerson';
}

export interface LoopWatchOptions {
  loop: string;
  signal: AbortSignal;
  onCycle: (status: CycleStatus) => void;
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
  { loop, signal, onCycle }: LoopWatchOptions,
): Promise<LoopStatus> {
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
    const { running, paused, queued, dataAskedAtMs } = status;
    if (paused) throw new NeedsPerson(`the loop is paused by ${paused.by}: ${paused.reason}`);
    if (!running) return !queued && (dataAskedAtMs ?? 0) >= announcedAtMs ? status : undefined;
    askCycle(running.n);
    if (cycle?.n === running.n && cycle.command)
      throw new NeedsPerson(`cycle ${cycle.n} waits for a person: ${cycle.waitsFor}\n${cycle.command}`);
    return undefined;
  };
  try {
    return await until(look, { everyMs: lookEveryMs, withinMs: longestMs, signal, what: `the loop ${loop} is idle` });
  } finally {
    watching = false;
  }
}
