import { clearScreenDown, moveCursor } from 'node:readline';
import { formatDuration } from '../../../contracts/units.ts';
import { harmless, type Paint } from '../output.ts';
import { frame } from './frame.ts';
import { Steps } from './steps.ts';

/** What the demo is at, for the people who watch it. */
export interface Progress {
  begin(step: string): void;
  now(what: string, waitsFor: string): void;
  end(result: string): void;
  /** A line that stays. */
  note(line: string): void;
  /** The last state stays on the screen; once is enough. */
  close(): void;
}

export interface ProgressOptions {
  stream: NodeJS.WriteStream;
  /** Redraw in place; else a line for everything new. */
  live: boolean;
  paint: Paint;
}

export const createProgress = ({ stream, live, paint }: ProgressOptions): Progress =>
  live ? new LiveView(stream, paint) : new PlainLines(stream);

const redrawEveryMs = 200;

/** Redrawn in place: the steps, and below them what the running one waits for, with time passing. */
class LiveView implements Progress {
  private readonly steps = new Steps();
  private readonly stream: NodeJS.WriteStream;
  private readonly paint: Paint;
  private readonly timer: NodeJS.Timeout;
  private drawn = 0;
  private closed = false;

  constructor(stream: NodeJS.WriteStream, paint: Paint) {
    this.stream = stream;
    this.paint = paint;
    this.timer = setInterval(() => this.redraw(), redrawEveryMs);
  }

  begin(step: string): void {
    this.steps.begin(step, performance.now());
  }

  now(what: string, waitsFor: string): void {
    this.steps.now(what, waitsFor, performance.now());
  }

  end(result: string): void {
    this.steps.end(result, performance.now());
    this.redraw();
  }

  note(line: string): void {
    this.erase();
    this.stream.write(`${harmless(line)}\n`);
    if (!this.closed) this.redraw();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    clearInterval(this.timer);
    this.redraw();
    this.drawn = 0;
  }

  private redraw(): void {
    // A terminal that does not say its size says 0.
    const [columns, rows] = [this.stream.columns || 80, this.stream.rows || 24];
    const lines = frame(this.steps.all, performance.now(), { columns, rows: rows - 2, paint: this.paint });
    this.erase();
    this.stream.write(lines.map((line) => `${harmless(line)}\n`).join(''));
    this.drawn = lines.length;
  }

  private erase(): void {
    if (this.drawn > 0) moveCursor(this.stream, 0, -this.drawn);
    clearScreenDown(this.stream);
    this.drawn = 0;
  }
}

/** For logs and CI: a line when a step begins, is at something new, and ends; each with the time since the start. */
class PlainLines implements Progress {
  private readonly steps = new Steps();
  private readonly stream: NodeJS.WriteStream;
  private readonly startedAtMs = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
  }

  begin(step: string): void {
    this.steps.begin(step, performance.now());
  }

  now(what: string, waitsFor: string): void {
    const step = this.steps.now(what, waitsFor, performance.now());
    if (step) this.note(`${step.title}: ${what}, waits for ${waitsFor}`);
  }

  end(result: string): void {
    const step = this.steps.end(result, performance.now());
    if (step?.ended) this.note(`${step.title}: ${result} (took ${formatDuration(step.ended.atMs - step.startedAtMs)})`);
  }

  note(line: string): void {
    const time = formatDuration(performance.now() - this.startedAtMs).padStart(7);
    this.stream.write(`${time}  ${harmless(line)}\n`);
  }

  close(): void {}
}
