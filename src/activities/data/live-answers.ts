import type { Digest } from '../../contracts/digest.ts';
import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { Store } from '../../store/types.ts';

/** Live answers to join with labels: by inference id, which is the row's id. */
export interface LiveAnswer {
  label: string;
  model: Digest;
  timeMs: number;
}

const pageRecords = 20_000;

/**
 * What an endpoint answered to these rows, from its captures: what callers saw, not shadows, not background traffic. The
 * last answer counts, should a caller have asked twice.
 */
export async function liveAnswers(
  store: Pick<Store, 'captures'>,
  endpoint: string,
  rows: { has(id: string): boolean },
  wanted: (record: CaptureRecord) => boolean = ({ shadow, background }) => !shadow && !background,
): Promise<Map<string, LiveAnswer>> {
  const answers = new Map<string, LiveAnswer>();
  let cursor: string | undefined;
  while (true) {
    const page = await store.captures.read(endpoint, cursor, pageRecords);
    if (page.records.length === 0) return answers;
    for (const record of page.records) {
      const { inferenceId, answer, model, timeMs } = record;
      // Replicas are read in turn, so the order of the records is not that of their times.
      const isNewest = (answers.get(inferenceId)?.timeMs ?? 0) <= timeMs;
      if (answer && isNewest && rows.has(inferenceId) && wanted(record))
        answers.set(inferenceId, { label: answer.label, model: model as Digest, timeMs });
    }
    cursor = page.cursor;
  }
}
