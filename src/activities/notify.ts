import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { NotifyActivities } from '../contracts/activities.ts';
import { notifyEvents } from '../contracts/messages.ts';
import { refNames } from '../contracts/names.ts';
import type { SecretSource } from '../jobs/secrets.ts';
import { putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { toPassingFailure } from './failures.ts';
import { readSpec } from './spec.ts';

const webhookTimeoutMs = 5_000;

/** What was told, as the store keeps it. */
const Told = z.strictObject({
  schema: z.literal('goto3/notice/v1'),
  key: z.string(),
  event: z.enum(notifyEvents),
  text: z.string(),
  command: z.nullable(z.string()),
});

/**
 * A notice is posted first and recorded then: a worker that dies between the two posts it again, under the same
 * `Idempotency-Key`, and one that dies anywhere else does not.
 */
export function createNotifyActivities({ store, secrets }: { store: Store; secrets: SecretSource }): NotifyActivities {
  return {
    async notify({ loop, n, specDigest, notice }) {
      try {
        const digest = specDigest ?? (await store.refs.read(refNames.loopSpec(loop)))?.digest;
        // A loop that was deleted with its store has nobody who wants to hear of it.
        if (!digest) return;
        const { spec } = await readSpec(store, digest);
        const { key, event, text, command } = notice;
        if (!spec.notify?.on.includes(event)) return;
        const name = refNames.notice(loop, createHash('sha256').update(key).digest('hex').slice(0, 32));
        if (await store.refs.read(name)) return;
        const body = JSON.stringify({ key, event, loop, cycle: n, text, command });
        await post(await secrets.resolve(spec.notify.webhook.secret), key, body);
        const told = await putJson(store, Told, { schema: 'goto3/notice/v1', ...notice });
        await store.refs.append(name, told, { operation: key, by: 'goto3', reason: event });
      } catch (error) {
        // A secret that is missing, or a spec that cannot be read now, may be there when it is tried again.
        throw toPassingFailure(error);
      }
    },
  };
}

/** Errors of `fetch` quote the URL, which is a secret, so none of them gets out. */
async function post(url: string, key: string, body: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(webhookTimeoutMs),
  }).catch(() => undefined);
  await response?.body?.cancel().catch(() => undefined);
  if (!response) throw new Error('the webhook did not answer');
  if (!response.ok) throw new Error(`the webhook answered ${response.status}`);
}
