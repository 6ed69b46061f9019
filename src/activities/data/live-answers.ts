import type { Digest } from '../../contracts/digest.ts';
import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { Store } from '../../store/types.ts';

/** Live answers to join with labels: by inference id, which is the row's id. */
export interface LiveAnswer {
  label: string;
  model: Digest;
  timeMs: number;
}

export interface WantedAnswers {
  /** What callers saw by default: not shadows, not background traffic. */
  wanted?: (record: CaptureRecord) => boolean;
  /** Wall clock; older captures are not looked at. Default: as far back as they are kept. */
  sinceMs?: number;
}

/** What an endpoint answered to these rows. The last answer counts, should a caller have asked twice. */
export async function liveAnswers(
  store: Pick<Store, 'captures'>,
  endpoint: string,
  rows: ReadonlyMap<string, unknown>,
  { wanted = ({ shadow, background }) => !shadow && !background, sinceMs = 0 }: WantedAnswers = {},
): Promise<Map<string, LiveAnswer>> {
  const answers = new Map<string, LiveAnswer>();
  for await (const record of store.captures.find(endpoint, new Set(rows.keys()), sinceMs)) {
    const { inferenceId, answer, model, timeMs } = record;
    const isNewest = (answers.get(inferenceId)?.timeMs ?? 0) <= timeMs;
    if (answer && isNewest && wanted(record))
      answers.set(inferenceId, { label: answer.label, model: model as Digest, timeMs });
  }
  return answers;
}
