import type { Digest } from '../../contracts/digest.ts';
import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { Store } from '../../store/types.ts';
import type { DataRow } from './rows.ts';

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
  store: Store,
  endpoint: string,
  rows: ReadonlyMap<string, DataRow>,
  wanted: (record: CaptureRecord) => boolean = ({ shadow, background }) => !shadow && !background,
): Promise<Map<string, LiveAnswer>> {
  const answers = new Map<string, LiveAnswer>();
  let cursor: string | undefined;
  while (true) {
    const page = await store.captures.read(endpoint, cursor, pageRecords);
    for (const record of page.records)
      if (record.answer && rows.has(record.inferenceId) && wanted(record))
        answers.set(record.inferenceId, {
          label: record.answer.label,
          model: record.model as Digest,
          timeMs: record.timeMs,
        });
    if (page.cursor === cursor || page.records.length === 0) return answers;
    cursor = page.cursor;
  }
}
