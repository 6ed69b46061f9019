import type { CaptureRecord } from '../../../src/contracts/endpoint.ts';
import type { CaptureLog } from '../../../src/store/types.ts';

/** Name of the shadow variant that keeps the first model beside the loop's. */
export const frozenVariant = 'frozen';

/**
 * What the endpoint said, by its own captures in the store: to callers, and through the shadow that never learns. Message
 * id → label; background traffic is counted and never judged.
 */
export class RecordedAnswers {
  readonly loop = new Map<string, string>();
  readonly frozen = new Map<string, string>();
  background = 0;
  private readonly captures: CaptureLog;
  private readonly endpoint: string;
  private cursor: string | undefined;

  constructor(captures: CaptureLog, endpoint: string) {
    this.captures = captures;
    this.endpoint = endpoint;
  }

  /** Reads what has been captured since the last call. */
  async readOn(): Promise<void> {
    for (;;) {
      const { records, cursor } = await this.captures.read(this.endpoint, this.cursor);
      this.cursor = cursor;
      if (records.length === 0) return;
      for (const record of records) this.add(record);
    }
  }

  private add({ inferenceId, variant, shadow, background, answer }: CaptureRecord): void {
    if (background) {
      if (!shadow) this.background += 1;
    } else if (answer && !shadow) this.loop.set(inferenceId, answer.label);
    else if (answer && variant === frozenVariant) this.frozen.set(inferenceId, answer.label);
  }
}
