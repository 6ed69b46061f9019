import { Context } from '@temporalio/activity';
import { pulse } from '../activities/pulse.ts';

/**
 * The same activities, with a heartbeat for those that have none of their own: a worker that died with one in its hands is
 * then noticed by the next beat that is missing, within seconds, and not when the time for the work is over.
 */
export function beating<T extends object>(activities: T): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, act]) => [
      name,
      async (input: unknown): Promise<unknown> => {
        const run = async (): Promise<unknown> => await (act as (input: unknown) => Promise<unknown>)(input);
        return Context.current().info.heartbeatTimeoutMs === undefined ? await run() : await pulse(run);
      },
    ]),
  ) as T;
}
