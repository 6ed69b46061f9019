import type { PairedLatency } from '../../contracts/manifests.ts';
import type { FeatureRow } from '../../contracts/model.ts';
import type { GateSpec } from '../../contracts/verdict.ts';
import { forkProgram } from '../../serving/program.ts';
import type { LatencyAnswer, LatencyTask } from './latency-process.ts';

/** Enough for bounds at one-sided 5 % that a few disturbed blocks do not move. */
const blocks = 12;
/** Rows that have such a quantile; fewer are a maximum. */
const rowsOfQuantile: Readonly<Record<string, number>> = { latencyP50: 20, latencyP95: 20, latencyP99: 100 };

/** Rows of a block by what the gate compares with others; undefined when it compares no latency. */
export function rowsPerBlockOf({ metrics }: GateSpec): number | undefined {
  const asked = metrics
    .filter(({ margin, worseBy }) => (margin ?? worseBy) !== undefined)
    .flatMap(({ metric }) => rowsOfQuantile[metric] ?? []);
  return asked.length > 0 ? Math.max(...asked) : undefined;
}

const blockTimeoutMs = 600_000;

/**
 * Both models answer the same rows in turns, in a process of their own. Rejects when either cannot be measured, and with
 * the signal's reason when it is aborted.
 */
export async function measureInTurns(
  folders: LatencyTask['folders'],
  { rows, rowsPerBlock }: { rows: FeatureRow[]; rowsPerBlock: number },
  signal: AbortSignal,
): Promise<Omit<PairedLatency, 'other'>> {
  signal.throwIfAborted();
  const child = forkProgram(new URL('./latency-process.ts', import.meta.url), folders[0]);
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  const hangs = setTimeout(stop, blockTimeoutMs);
  try {
    const measured: PairedLatency['blocks'] = [];
    await new Promise<void>((resolve, reject) => {
      child.on('message', (answer: LatencyAnswer) => {
        hangs.refresh();
        if ('block' in answer) measured.push(answer.block);
        else if ('done' in answer) resolve();
        else reject(new Error(answer.error));
      });
      child.once('error', reject);
      child.once('exit', (code, by) =>
        reject(signal.reason ?? new Error(`the measuring process ended with ${by ?? `exit code ${code}`}`)),
      );
      child.send({ folders, rows, blocks, rowsPerBlock } satisfies LatencyTask, () => {});
    });
    return { rowsPerBlock, blocks: measured };
  } finally {
    clearTimeout(hangs);
    signal.removeEventListener('abort', stop);
    stop();
  }
}
