import {
  type CloudWatchLogsClient,
  DescribeLogStreamsCommand,
  GetLogEventsCommand,
  type GetLogEventsCommandInput,
} from '@aws-sdk/client-cloudwatch-logs';
import type { AwsCaller } from '../../aws/caller.ts';
import { kindOfAwsError } from '../../aws/errors.ts';
import type { JobProgress, LogPage } from '../../contracts/job.ts';
import { InvalidJob } from '../errors.ts';
import type { ExitRecord } from '../local/job-folder.ts';
import { parseWord } from './words.ts';

/** https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html */
export const logGroup = '/aws/sagemaker/TrainingJobs';
/** A page of ours; GetLogEvents gives 1 MiB or 10,000 events at most, and one event may be alone of 1 MiB. */
const pageBytes = 512 * 1024;

/** What the launcher has said by now. */
export interface Heard {
  progress?: JobProgress;
  exit?: ExitRecord;
}

interface Ear extends Heard {
  stream: string;
  token: string | undefined;
}

/** The log of training jobs: `<job>/algo-1-<time>`, one stream for each start of a container. */
export class JobLogs {
  readonly #client: CloudWatchLogsClient;
  readonly #caller: AwsCaller;
  readonly #ears = new Map<string, Ear>();

  constructor(client: CloudWatchLogsClient, caller: AwsCaller) {
    this.#client = client;
    this.#caller = caller;
  }

  /** The next lines of the program; `over`: the job has ended, as somebody saw before this call. */
  async page(name: string, cursor: string | undefined, over: boolean): Promise<LogPage> {
    const at = parseCursor(cursor);
    const lines: string[] = [];
    let bytes = 0;
    const streams = await this.#streams(name);
    for (; at.stream < streams.length; ) {
      const { words, token, atEnd } = await this.#read(streams[at.stream]!, at.token, true);
      for (const line of words) if (parseWord(line) === undefined) bytes += lines.push(line) && Buffer.byteLength(line);
      at.token = token;
      const isLast = at.stream === streams.length - 1;
      if (atEnd && isLast) return { lines, cursor: cursorOf(at), complete: over };
      if (atEnd) Object.assign(at, { stream: at.stream + 1, token: undefined });
      if (bytes >= pageBytes) return { lines, cursor: cursorOf(at), complete: false };
    }
    return { lines, cursor: cursorOf(at), complete: over };
  }

  /** The launcher's newest words. Only the newest start counts: an interrupted one has said its end too. */
  async listen(name: string): Promise<Heard> {
    const stream = (await this.#streams(name)).at(-1);
    if (stream === undefined) return {};
    let ear = this.#ears.get(name);
    if (ear?.stream !== stream) {
      ear = { stream, token: undefined, ...(ear?.progress && { progress: ear.progress }) };
      this.#ears.set(name, ear);
    }
    for (;;) {
      // A watcher that comes late begins near the end: the launcher repeats what counts.
      const { words, token, atEnd } = await this.#read(stream, ear.token, ear.token !== undefined);
      ear.token = token;
      for (const word of words.map(parseWord)) {
        if (word?.progress) ear.progress = word.progress;
        if (word?.kind === 'exit') ear.exit = word.exit;
      }
      if (atEnd) return ear;
    }
  }

  forget(name: string): void {
    this.#ears.delete(name);
  }

  /** One call; `atEnd` when the token that comes back is the one that was sent (API_GetLogEvents, nextForwardToken). */
  async #read(stream: string, token: string | undefined, fromHead: boolean) {
    const input: GetLogEventsCommandInput = {
      logGroupName: logGroup,
      logStreamName: stream,
      startFromHead: fromHead,
      ...(token !== undefined && { nextToken: token }),
    };
    const answer = await this.#caller.call('logs:GetLogEvents', () =>
      this.#client.send(new GetLogEventsCommand(input)),
    );
    return {
      words: (answer.events ?? []).map(({ message }) => message ?? ''),
      token: answer.nextForwardToken,
      atEnd: answer.nextForwardToken === token,
    };
  }

  /** By name, which ends with the time of the start. None before the first container has printed something. */
  async #streams(name: string): Promise<string[]> {
    const names: string[] = [];
    for (let token: string | undefined; ; ) {
      const command = new DescribeLogStreamsCommand({
        logGroupName: logGroup,
        logStreamNamePrefix: `${name}/`,
        ...(token !== undefined && { nextToken: token }),
      });
      try {
        const page = await this.#caller.call('logs:DescribeLogStreams', () => this.#client.send(command));
        for (const { logStreamName } of page.logStreams ?? [])
          if (logStreamName !== undefined) names.push(logStreamName);
        token = page.nextToken;
      } catch (error) {
        if (kindOfAwsError(error) !== 'notFound') throw error;
        return [];
      }
      if (token === undefined) return names.sort();
    }
  }
}

interface Cursor {
  stream: number;
  token: string | undefined;
}

const cursorOf = ({ stream, token }: Cursor): string => `${stream}:${token ?? ''}`;

function parseCursor(text: string | undefined): Cursor {
  if (text === undefined) return { stream: 0, token: undefined };
  const [, stream, token] = /^(\d{1,6}):([\x21-\x7e]{0,2000})$/.exec(text) ?? [];
  if (stream === undefined)
    throw new InvalidJob(`log cursor: expected one that an earlier page gave, got ${JSON.stringify(text)}`);
  return { stream: Number(stream), token: token || undefined };
}
