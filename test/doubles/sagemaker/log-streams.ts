import { ApiError } from './api-error.ts';

interface LogEvent {
  timestamp: number;
  message: string;
  ingestionTime: number;
}

/**
 * GetLogEvents: "up to 1 MB (up to 10,000 log events)"; an event counts 26 bytes more than its text (PutLogEvents)
 * https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
 */
const pageBytes = 2 ** 20;
const pageEvents = 10_000;
const eventOverheadBytes = 26;

/** https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html */
export const logGroup = '/aws/sagemaker/TrainingJobs';

/** CloudWatch Logs as far as training jobs need them. */
export class LogStreams {
  readonly #streams = new Map<string, LogEvent[]>();

  append(stream: string, message: string): void {
    const now = Date.now();
    const events = this.#streams.get(stream) ?? [];
    events.push({ timestamp: now, message, ingestionTime: now });
    this.#streams.set(stream, events);
  }

  describeLogStreams({
    logGroupName,
    logStreamNamePrefix = '',
  }: {
    logGroupName?: string;
    logStreamNamePrefix?: string;
  }) {
    // The group appears with the first line of the first job (logging-cloudwatch).
    if (logGroupName !== logGroup || this.#streams.size === 0)
      throw new ApiError('ResourceNotFoundException', 'The specified log group does not exist.');
    const names = [...this.#streams.keys()].filter((name) => name.startsWith(logStreamNamePrefix)).sort();
    return {
      logStreams: names.map((logStreamName) => ({
        logStreamName,
        creationTime: this.#streams.get(logStreamName)![0]!.timestamp,
        arn: `arn:aws:logs:eu-central-1:123456789012:log-group:${logGroup}:log-stream:${logStreamName}`,
        storedBytes: 0,
      })),
    };
  }

  /** Tokens say where the next page begins; at the end the same token comes back (API_GetLogEvents, nextForwardToken). */
  getLogEvents(input: { logStreamName?: string; nextToken?: string; startFromHead?: boolean }) {
    const events = this.#streams.get(input.logStreamName ?? '');
    if (!events) throw new ApiError('ResourceNotFoundException', 'The specified log stream does not exist.');
    const from =
      input.nextToken === undefined ? (input.startFromHead ? 0 : this.#tail(events)) : indexOf(input.nextToken);
    let to = from;
    for (let bytes = 0; to < events.length && to - from < pageEvents; to++) {
      bytes += Buffer.byteLength(events[to]!.message) + eventOverheadBytes;
      if (bytes > pageBytes && to > from) break;
    }
    return {
      events: events.slice(from, to),
      nextForwardToken: `f/${String(to).padStart(56, '0')}/s`,
      nextBackwardToken: `b/${String(from).padStart(56, '0')}/s`,
    };
  }

  /** "If the value is false, the latest log events are returned first." */
  #tail(events: readonly LogEvent[]): number {
    let from = events.length;
    for (let bytes = 0; from > 0 && events.length - from < pageEvents; from--) {
      bytes += Buffer.byteLength(events[from - 1]!.message) + eventOverheadBytes;
      if (bytes > pageBytes) break;
    }
    return from;
  }
}

function indexOf(token: string): number {
  const match = /^[fb]\/(\d{56})\/s$/.exec(token);
  if (!match) throw new ApiError('InvalidParameterException', 'The specified nextToken is invalid.');
  return Number(match[1]);
}
