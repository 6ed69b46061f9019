import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../../temporal.ts';

/** A call of a worker that reaches outside it, and the signal that the worker gets there (kill-at.mjs). */
export type FaultPoint = {
  /** `worker-control`, `endpoint-mail` … */
  process: string;
  /** Regular expression on the path that the call is about. */
  path: string;
  signal?: 'SIGKILL' | 'SIGSTOP';
} & (
  | { call: 'link'; when: 'before' | 'after' }
  /** `spawned`: the wrapper runs and has not been told its job. `claimed`: it has the claim and nobody knows yet. */
  | { call: 'wrapper'; when: 'spawned' | 'claimed' }
);

export interface Fired {
  pid: number;
  atMs: number;
  path: string;
}

/** A fault that waits for its call. */
export class ArmedFault {
  readonly id: string;
  private readonly file: string;

  private constructor(id: string, file: string) {
    this.id = id;
    this.file = file;
  }

  static arm(home: string, id: string, point: FaultPoint): ArmedFault {
    const folder = join(home, 'faults');
    mkdirSync(folder, { recursive: true });
    const fault = new ArmedFault(id, join(folder, id));
    // By rename: workers read it at any time.
    writeFileSync(`${fault.file}.writing`, JSON.stringify({ signal: 'SIGKILL', ...point }));
    renameSync(`${fault.file}.writing`, `${fault.file}.json`);
    return fault;
  }

  get fired(): Fired | undefined {
    const file = `${this.file}.fired`;
    // Not yet written to its end: not yet fired.
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return text === '' ? undefined : (JSON.parse(text) as Fired);
  }

  async hasFired(withinMs = 60_000): Promise<Fired> {
    return await eventually(`fault ${this.id} fires`, async () => this.fired, withinMs);
  }
}
