import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { inheritedEnvironment } from '../../src/stack/environment.ts';
import { tsxArgv } from '../../src/stack/tsx.ts';

/** The example as its README starts it: a process of its own. */
export class ServiceProcess {
  readonly url: string;
  private readonly child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.child = child;
  }

  static async start(environment: { GOTO3_HOME: string; TEMPORAL_ADDRESS: string }, port = 0): Promise<ServiceProcess> {
    const [file, ...argv] = tsxArgv(
      new URL('../../examples/trigger-service/main.ts', import.meta.url),
      ...['--port', String(port)],
    );
    const child = spawn(file, argv, { env: inheritedEnvironment(environment), stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: child.stdout! })) {
      const { url } = JSON.parse(line) as { url?: string };
      if (url) return new ServiceProcess(url, child);
    }
    throw new Error('the service ended before it listened');
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    if (this.child.exitCode !== null || this.child.signalCode !== null)
      return this.child.exitCode ?? this.child.signalCode;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
    return this.child.exitCode ?? this.child.signalCode;
  }
}
