/** Requests of clients so far. */
export interface ClientCounts {
  sent: number;
  failed: number;
}

/** One thing that went wrong, as the run itself saw it. */
export interface ActFigures {
  name: string;
  title: string;
  /** False: it never happened, and the run proves nothing about it. */
  fired: boolean;
  happened: string[];
  /** What the operator had to type. */
  typed: string[];
  /** From the fault, or from the command that it waited for; null: nobody saw it go on. */
  secondsToContinue: number | null;
  requests: number;
  failedRequests: number;
}

/** Says it while it happens; a title stands out. */
export type Tell = (text: string, kind: 'title' | 'line') => void;

/** Keeps the times of a fault, of the command that it waits for, and of the moment when what it hit works again. */
export class Act {
  private readonly name: string;
  private readonly title: string;
  private readonly clients: () => ClientCounts;
  private readonly tell: Tell;
  private readonly happened: string[] = [];
  private readonly typed: string[] = [];
  private before: ClientCounts | undefined;
  private after: ClientCounts | undefined;
  private waitsSinceMs: number | undefined;
  private continuedAtMs: number | undefined;

  constructor(
    { name, title }: { name: string; title: string },
    { clients, tell }: { clients: () => ClientCounts; tell: Tell },
  ) {
    this.name = name;
    this.title = title;
    this.clients = clients;
    this.tell = tell;
  }

  get hasFired(): boolean {
    return this.waitsSinceMs !== undefined;
  }

  get goesOnAgain(): boolean {
    return this.continuedAtMs !== undefined;
  }

  /** From here on what clients see is counted for it. */
  begin(): void {
    this.before = this.clients();
    this.tell(`── ${this.title}`, 'title');
  }

  /** The fault has happened. */
  fire(what: string): void {
    this.waitsSinceMs = Date.now();
    this.note(what);
  }

  note(what: string): void {
    this.happened.push(what);
    this.tell(`   ${what}`, 'line');
  }

  /** Somebody typed it. With `waited`, nothing went on before: the clock runs from here. */
  hasTyped(line: string, { waited }: { waited: boolean }): void {
    this.typed.push(line);
    if (waited) this.waitsSinceMs = Date.now();
  }

  /** What it hit works again; the first call after the fault counts. */
  goesOn(): void {
    if (this.hasFired) this.continuedAtMs ??= Date.now();
  }

  end(): void {
    this.after = this.clients();
  }

  get figures(): ActFigures {
    const { name, title, happened, typed, waitsSinceMs, continuedAtMs, before, after } = this;
    const goesOnAfterMs =
      waitsSinceMs !== undefined && continuedAtMs !== undefined ? continuedAtMs - waitsSinceMs : null;
    const [from, to] =
      before && after
        ? [before, after]
        : [
            { sent: 0, failed: 0 },
            { sent: 0, failed: 0 },
          ];
    return {
      ...{ name, title, fired: this.hasFired, happened, typed },
      secondsToContinue: goesOnAfterMs === null ? null : Math.round(Math.max(0, goesOnAfterMs) / 100) / 10,
      requests: to.sent - from.sent,
      failedRequests: to.failed - from.failed,
    };
  }
}
