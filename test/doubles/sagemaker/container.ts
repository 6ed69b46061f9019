import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { readProcess } from '../../../src/jobs/local/processes.ts';
import { killProgram } from '../../../src/jobs/local/program-processes.ts';

export interface ContainerStart {
  /** Stands where `/` is in a container: it has opt/ml. */
  root: string;
  argv: readonly string[];
  environment: Record<string, string>;
  onLine: (line: string) => void;
}

/**
 * One container as one process of this machine: /opt/ml lies below a root of its own, and the paths of the entry point are
 * translated. There is no image: what the program calls has to be on this machine.
 */
export class Container {
  readonly root: string;
  readonly #child: ChildProcess;
  readonly #leader: { pid: number; startTicks: number };
  readonly ended: Promise<number>;

  private constructor(root: string, child: ChildProcess, ended: Promise<number>) {
    this.root = root;
    this.#child = child;
    this.#leader = { pid: child.pid!, startTicks: readProcess(child.pid!)?.startTicks ?? 0 };
    this.ended = ended;
  }

  static start({ root, argv, environment, onLine }: ContainerStart): Container {
    const inRoot = argv.map((part) => part.replace(/^\/opt\/ml(?=\/|$)/, join(root, 'opt/ml')));
    const child = spawn(inRoot[0]!, inRoot.slice(1), {
      cwd: root,
      env: { PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`, HOME: root, ...environment },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout!, child.stderr!]) createInterface({ input: stream }).on('line', onLine);
    const ended = new Promise<number>((resolve) => {
      child.once('error', (error) => {
        onLine(error.message);
        resolve(127);
      });
      child.once('close', (code, signal) => resolve(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
    });
    return new Container(root, child, ended);
  }

  /** "SIGTERM, which delays job termination for 120 seconds" (API_StopTrainingJob), then everything of it is killed. */
  async stop(graceMs: number): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => void this.kill(), graceMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** A container goes with all its processes. */
  async kill(): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null) return;
    await killProgram({ marker: randomUUID(), leader: this.#leader });
  }
}

/** https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html */
export async function makeFolders(
  root: string,
  hyperParameters: Record<string, string>,
  channels: readonly string[],
): Promise<void> {
  const ml = join(root, 'opt/ml');
  for (const folder of ['input/config', 'input/data', 'model', 'output/data', 'checkpoints', 'code'])
    await mkdir(join(ml, folder), { recursive: true });
  const write = (name: string, value: unknown) => writeFile(join(ml, 'input/config', name), JSON.stringify(value));
  await write('hyperparameters.json', hyperParameters);
  await write(
    'inputdataconfig.json',
    Object.fromEntries(
      channels.map((name) => [
        name,
        { TrainingInputMode: 'File', S3DistributionType: 'FullyReplicated', RecordWrapperType: 'None' },
      ]),
    ),
  );
  await write('resourceconfig.json', { current_host: 'algo-1', hosts: ['algo-1'], network_interface_name: 'eth0' });
}

/** "the first 1024 characters of this file" (same page). */
export const failureOf = async (root: string): Promise<string> =>
  (await readFile(join(root, 'opt/ml/output/failure'), 'utf8').catch(() => '')).slice(0, 1_024);
