import { type ChildProcess, fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/**
 * Starts our own TypeScript programs as child processes and threads. The loader is named by its absolute address, because
 * `--import tsx` is looked up from the working directory, and these run in a model's folder.
 */

/**
 * A child with an IPC channel and an empty environment: it parses bytes that nobody vouches for, so it gets no secret.
 * ONNX Runtime looks for external tensor data below the working directory when a model comes as bytes: give a folder
 * that holds nothing but models. `advanced` messages are structured clones: cheaper to write and read than JSON text.
 */
export function forkProgram(
  program: URL,
  workingFolder: string,
  serialization: 'json' | 'advanced' = 'json',
): ChildProcess {
  return fork(fileURLToPath(program), [], {
    cwd: workingFolder,
    env: {},
    // `import.meta.resolve` is missing where a test runner's loader has turned this module into CommonJS.
    execArgv: ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    serialization,
  });
}

/**
 * For programs that `forkProgram` started. Node 20 does not apply an inherited `--import` loader to the first module of a
 * thread, so that module is plain.
 */
export function startThread(program: URL): Worker {
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const source = `import { register } from ${loader}; register(); await import(${JSON.stringify(program.href)});`;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { execArgv: [] });
}

/**
 * For programs that `forkProgram` started: whoever asked is gone, in whatever way, so nobody needs the answers any more,
 * not even when it left before this program had loaded. `exit` would wait for a thread that is inside native code, perhaps
 * for ever.
 */
export function endWithParent(): void {
  const end = () => process.kill(process.pid, 'SIGKILL');
  process.on('disconnect', end);
  if (!process.connected) end();
}
