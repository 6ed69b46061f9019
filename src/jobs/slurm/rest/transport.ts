import { InvalidJob } from '../../errors.ts';
import { ClusterUnavailable, SubmitUnclear } from '../errors.ts';
import { oneLine, submitFailure } from '../submit-answer.ts';
import type { SlurmJob, SlurmTransport, Submission } from '../transport.ts';
import { chooseVersion, decodeJobs, errorsOf, submitBody, submittedId } from './messages.ts';
import { slurmToken } from './token.ts';

export interface RestOptions {
  /** `http://host:6820` */
  url: string;
  user: string;
  /** Reads the cluster's key; asked again for each token, so that a rotated key is picked up. */
  key: () => Promise<Uint8Array>;
  /** Undefined: the newest that both sides know. */
  version?: string;
  /** This machine's clock, which the token's life is told by. */
  nowMs?: () => number;
}

const answerWithinMs = 120_000;
/** A token lives so long, and is replaced at half of it. */
const tokenSeconds = 600;

interface Answer {
  status: number;
  body: unknown;
}

/** The cluster by slurmrestd, which forwards each call to the controller with our token. */
export function createRestTransport(options: RestOptions): SlurmTransport {
  const { url, user, key, nowMs = Date.now } = options;
  let token: { text: string; untilMs: number } | undefined;
  let version: Promise<string> | undefined;

  const freshToken = async (): Promise<string> => {
    if (token && Date.now() < token.untilMs) return token.text;
    const text = slurmToken(await key(), user, nowMs(), tokenSeconds);
    token = { text, untilMs: Date.now() + (tokenSeconds * 1000) / 2 };
    return text;
  };

  const send = async (method: string, path: string, body?: object): Promise<Answer> => {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        'X-SLURM-USER-NAME': user,
        'X-SLURM-USER-TOKEN': await freshToken(),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const text = await response.text();
    return { status: response.status, body: parsed(text) };
  };

  /** A question: asking twice does no harm, so the token is replaced and the question asked once more. */
  const ask = async (method: string, path: string): Promise<Answer> => {
    try {
      const answer = await send(method, path);
      if (!mayBeToken(answer)) return answer;
      token = undefined;
      return await send(method, path);
    } catch (error) {
      throw new ClusterUnavailable(`slurmrestd ${url}: ${reasonOf(error)}`);
    }
  };

  const apiVersion = (): Promise<string> => {
    version ??= probe().catch((error: unknown) => {
      version = undefined;
      throw error;
    });
    return version;
  };
  const probe = async (): Promise<string> => {
    if (options.version !== undefined) return options.version;
    const { status, body } = await ask('GET', '/openapi/v3');
    if (status !== 200) throw new ClusterUnavailable(`slurmrestd ${url}: GET /openapi/v3 answered ${status}`);
    const chosen = chooseVersion(Object.keys((body as { paths?: object } | undefined)?.paths ?? {}));
    if (chosen === undefined) throw new InvalidJob(`slurmrestd ${url}: offers no API version from v0.0.38 to v0.0.45`);
    return chosen;
  };

  return {
    async submit(submission: Submission): Promise<string> {
      const path = `/slurm/${await apiVersion()}/job/submit`;
      const body = submitBody(await apiVersion(), submission);
      const answer = await send('POST', path, body).catch((error: unknown) => {
        throw neverSent(error)
          ? new ClusterUnavailable(`slurmrestd ${url}: ${reasonOf(error)}`)
          : new SubmitUnclear(`slurmrestd ${url}: ${reasonOf(error)}`);
      });
      // An id may come with a warning ("not available now"): the job is in the queue.
      const id = submittedId(answer.body);
      if (id !== undefined) return id;
      // The controller hangs up on a refused token, and so does one that dies after it took the job: only a look can tell.
      if (mayBeToken(answer)) token = undefined;
      throw submitFailure(errorsOf(answer.body) || `HTTP ${answer.status}`);
    },

    async queue(): Promise<SlurmJob[]> {
      const answer = await ask('GET', `/slurm/${await apiVersion()}/jobs`);
      const problem = errorsOf(answer.body);
      if (answer.status !== 200 || problem !== '')
        throw new ClusterUnavailable(`slurmrestd ${url}: ${oneLine(problem) || `HTTP ${answer.status}`}`);
      return decodeJobs(answer.body).filter((job) => job.user === user || job.user === '');
    },

    /** slurmrestd's accounting is a second plugin that needs slurmdbd; this transport does not use it yet. */
    async accounting() {
      return undefined;
    },

    async cancel(ids) {
      for (const id of ids) {
        const answer = await ask('DELETE', `/slurm/${await apiVersion()}/job/${id}`);
        const problem = errorsOf(answer.body);
        const gone = /invalid job id|already (?:completing|completed)|job\/step already/i.test(problem);
        if (answer.status !== 200 && !gone)
          throw new ClusterUnavailable(`slurmrestd ${url}: ${oneLine(problem) || `HTTP ${answer.status}`}`);
      }
    },
  };
}

/** What an expired or wrong token looks like in 22.05: the same as a controller that is away. Newer ones say 401. */
const mayBeToken = ({ status, body }: Answer): boolean =>
  status === 401 ||
  (status >= 400 && /authentication|unspecified error|zero bytes were transmitted/i.test(errorsOf(body)));

/** Nobody listens: the request has not left this machine. */
const neverSent = (error: unknown): boolean =>
  ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'EAI_AGAIN'].includes(
    ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code ?? '',
  );

const reasonOf = (error: unknown): string => {
  const { message, cause } = error as Error;
  return oneLine(cause instanceof Error ? `${message}: ${cause.message}` : message);
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
