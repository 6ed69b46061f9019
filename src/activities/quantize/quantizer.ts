import { forkProgram } from '../../serving/program.ts';
import type { QuantizeAnswer, QuantizeTask } from '../quantize-process.ts';

type Answered<Op extends QuantizeTask['op']> = Extract<
  QuantizeAnswer,
  { op: Op extends 'quantize' ? 'quantized' : 'ranked' }
>;

/**
 * One task in a process of its own. `refused`: the quantizer's word about the model, which no retry changes; any other
 * trouble (a full disk, a killed process) is thrown.
 */
export async function runQuantizer<Op extends QuantizeTask['op']>(
  task: QuantizeTask & { op: Op },
  folder: string,
  signal: AbortSignal,
): Promise<Answered<Op> | { op: 'refused'; problem: string }> {
  signal.throwIfAborted();
  const child = forkProgram(new URL('../quantize-process.ts', import.meta.url), folder);
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  try {
    const answer = await new Promise<QuantizeAnswer>((resolve, reject) => {
      child.once('message', resolve);
      child.once('error', reject);
      child.once('exit', (code, by) =>
        reject(signal.reason ?? new Error(`the quantizer ended with ${by ?? `exit code ${code}`} and no answer`)),
      );
      child.send(task);
    });
    if (answer.op !== 'failed') return answer as Answered<Op>;
    if (answer.type === undefined) throw new Error(answer.error);
    return { op: 'refused', problem: answer.error };
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
