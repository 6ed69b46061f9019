/** One thing that the demo does after another; times are monotonic milliseconds. */
export interface Step {
  title: string;
  startedAtMs: number;
  /** What it is at, since when, and what it waits for. */
  now: { what: string; waitsFor: string; sinceMs: number } | undefined;
  ended: { atMs: number; result: string } | undefined;
}

/** The steps so far; the last one runs unless it has ended. */
export class Steps {
  readonly all: Step[] = [];

  begin(title: string, nowMs: number): Step {
    const step: Step = { title, startedAtMs: nowMs, now: undefined, ended: undefined };
    this.all.push(step);
    return step;
  }

  get running(): Step | undefined {
    const last = this.all.at(-1);
    return last?.ended ? undefined : last;
  }

  /** @returns the step when it is now at something else; that it waits for more of the same is no news */
  now(what: string, waitsFor: string, nowMs: number): Step | undefined {
    const step = this.running;
    if (!step) return undefined;
    const isNews = step.now?.what !== what;
    step.now = { what, waitsFor, sinceMs: isNews ? nowMs : step.now!.sinceMs };
    return isNews ? step : undefined;
  }

  end(result: string, nowMs: number): Step | undefined {
    const step = this.running;
    if (step) step.ended = { atMs: nowMs, result };
    return step;
  }
}
