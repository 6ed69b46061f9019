import { setTimeout as delay } from 'node:timers/promises';
import { inferenceHeaders } from '../../../src/contracts/endpoint.ts';
import type { FeatureRow } from '../../../src/contracts/model.ts';
import type { MailRow } from '../mail.ts';

/** What a caller sends about a mail: the loop's features and nothing else. */
export const featuresOf = ({ subject, body }: MailRow): FeatureRow => ({ subject, body });

export interface Unanswered {
  messageId: string;
  problem: string;
}

export interface AskOptions {
  /** Base address of the endpoint. */
  url: string;
  /** Requests under way at once: a mail server asks about the mails that it has, not about a week at a time. */
  concurrency: number;
  signal: AbortSignal;
  onAnswered?: (mails: number) => void;
  /** How long a mail is tried again while the endpoint says 503. Default 30 s. */
  retryForMs?: number;
}

/**
 * Asks the endpoint about each mail, oldest first, before anybody knows the label. The message id is the inference id, so
 * the endpoint's captured answer joins with the label later; the answer itself is not needed here.
 * @returns the mails that got no answer
 */
export async function askAboutMails(mails: readonly MailRow[], options: AskOptions): Promise<Unanswered[]> {
  const waiting = mails[Symbol.iterator]();
  const unanswered: Unanswered[] = [];
  let answered = 0;
  const caller = async (): Promise<void> => {
    for (const mail of waiting) {
      const problem = await askAboutMail(mail, options);
      if (problem === undefined) options.onAnswered?.(++answered);
      else unanswered.push({ messageId: mail.messageId, problem });
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, caller));
  return unanswered;
}

const defaultRetryForMs = 30_000;
const longestPauseMs = 5_000;

/** Undefined: answered. 503 says that the same request may succeed soon, and when (RFC 9110 §15.6.4, §10.2.3). */
async function askAboutMail(mail: MailRow, options: AskOptions): Promise<string | undefined> {
  const deadline = performance.now() + (options.retryForMs ?? defaultRetryForMs);
  const body = JSON.stringify(featuresOf(mail));
  const headers = { 'content-type': 'application/json', [inferenceHeaders.inferenceId]: mail.messageId };
  for (;;) {
    const response = await post(`${options.url}/invocations`, headers, body, options.signal);
    if (typeof response === 'string') return response;
    if (response.status === 200) return undefined;
    if (response.status !== 503 || performance.now() >= deadline) return `${response.status} ${response.text}`;
    await delay(Math.min(longestPauseMs, response.retryAfterMs), undefined, { signal: options.signal });
  }
}

/** Connection errors come back as text: they are this mail's problem, not the end of the replay. */
async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string; retryAfterMs: number } | string> {
  try {
    const response = await fetch(url, { method: 'POST', headers, body, signal });
    const retryAfterMs = 1_000 * Number(response.headers.get('retry-after') ?? Number.NaN);
    return {
      status: response.status,
      text: (await response.text()).slice(0, 200),
      retryAfterMs: Number.isFinite(retryAfterMs) ? retryAfterMs : 1_000,
    };
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
  }
}
