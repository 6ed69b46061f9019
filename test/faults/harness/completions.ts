import type { Client } from '@temporalio/client';

/** When the first activity of these workflows was completed after a time; undefined while none was. */
export async function firstCompletionAfter(
  temporal: Client,
  workflowIds: readonly string[],
  afterMs: number,
): Promise<number | undefined> {
  const times = await Promise.all(
    workflowIds.map(async (workflowId) => {
      const history = await temporal.workflow
        .getHandle(workflowId)
        .fetchHistory()
        .catch(() => ({ events: [] }));
      return (history.events ?? []).flatMap(({ eventTime, activityTaskCompletedEventAttributes: completed }) => {
        const atMs = Number(eventTime?.seconds ?? 0) * 1_000 + (eventTime?.nanos ?? 0) / 1e6;
        return completed && atMs > afterMs ? [atMs] : [];
      });
    }),
  );
  const all = times.flat();
  return all.length === 0 ? undefined : Math.min(...all);
}
