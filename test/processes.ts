import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { eventually } from './temporal.ts';

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

interface LogLine {
  msg: string;
  healthPort?: number;
  url?: string;
}

/** A worker or an endpoint as a process of its own, started as `up` starts it, with its log. */
export class StackProcess {
  readonly child: ChildProcess;
  readonly log: string[] = [];
  private readonly lines: LogLine[] = [];

  /** @param program below `src/workers`, with its arguments */
  constructor(program: 'main.ts' | 'endpoint.ts', argv: readonly string[], env: Record<string, string>) {
    const file = fileURLToPath(new URL(`../src/workers/${program}`, import.meta.url));
    this.child = spawn(process.execPath, ['--import', tsx, file, ...argv], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.log.push(line);
      if (line.startsWith('{')) this.lines.push(JSON.parse(line) as LogLine);
    });
  }

  /** The line in which it says that it started: its ports. */
  async started(): Promise<LogLine> {
    return await eventually(
      'the process starts',
      async () => this.lines.find(({ msg, healthPort }) => msg.endsWith(' started') && healthPort !== undefined),
      90_000,
    );
  }

  async healthUrl(): Promise<string> {
    return `http://127.0.0.1:${(await this.started()).healthPort}`;
  }

  async healthy(): Promise<Record<string, unknown>> {
    const url = await this.healthUrl();
    return await eventually('it is healthy', async () => {
      const response = await fetch(`${url}/healthz`);
      return response.status === 200 && ((await response.json()) as Record<string, unknown>);
    });
  }

  said(message: string): boolean {
    return this.lines.some(({ msg }) => msg === message);
  }

  async exit(): Promise<number | null> {
    const { exitCode, signalCode } = this.child;
    if (exitCode === null && signalCode === null) await once(this.child, 'exit');
    return this.child.exitCode;
  }

  async end(signal: NodeJS.Signals): Promise<{ code: number | null; tookMs: number }> {
    const startedAt = performance.now();
    this.child.kill(signal);
    const code = await this.exit();
    return { code, tookMs: performance.now() - startedAt };
  }
}
