import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { TaskQueue } from '../../contracts/names.ts';
import { type Environment, inheritedEnvironment } from '../../stack/environment.ts';
import { tsxArgv } from '../../stack/tsx.ts';

export interface RunWorkerOptions {
  environment: Environment;
  /** host:port of the server. */
  address: string;
  queue: TaskQueue;
  healthPort: string;
  /** stdout belongs to somebody else. */
  logToStderr: boolean;
}

/** Runs a worker as a child until it ends; signals are passed on. Gives its exit code, 128 + n for a signal's. */
export async function runWorker(options: RunWorkerOptions): Promise<number> {
  const { environment, address, queue, healthPort, logToStderr } = options;
  const program = new URL('../../workers/main.ts', import.meta.url);
  const [node, ...argv] = tsxArgv(program, '--queue', queue, '--health-port', healthPort);
  const child = spawn(node, argv, {
    stdio: ['ignore', logToStderr ? 2 : 'inherit', 'inherit'],
    env: inheritedEnvironment({
      GOTO3_HOME: environment.home,
      GOTO3_STORE: environment.storeUrl,
      TEMPORAL_ADDRESS: address,
      TEMPORAL_NAMESPACE: environment.temporalNamespace,
    }),
  });
  // A terminal sends Ctrl-C to both of us; SIGTERM from here too does not hurry the worker, which takes each once.
  const pass = (): void => void child.kill('SIGTERM');
  process.on('SIGTERM', pass).on('SIGINT', pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(signal ? 128 + constants.signals[signal] : (code ?? 1)));
    });
  } finally {
    process.off('SIGTERM', pass).off('SIGINT', pass);
  }
}
