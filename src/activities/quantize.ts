import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { log } from '@temporalio/activity';
import type { QuantizeActivities } from '../contracts/activities.ts';
import { modelFileName } from '../contracts/model.ts';
import { forkProgram } from '../serving/program.ts';
import type { Store } from '../store/types.ts';
import type { ModelFolders } from './model-folders.ts';
import { keep } from './pins.ts';
import { pulse } from './pulse.ts';
import type { QuantizeAnswer, QuantizeTask } from './quantize-process.ts';

/**
 * Dynamic int8 of MatMul, Gemm and embedding tables; the float model's signature and other files stay. A model in which
 * nothing can be quantized is its own answer, with `quantized` 0: int8 is a contestant, not a condition.
 */
export function createQuantizeActivities({
  store,
  models,
}: {
  store: Store;
  models: ModelFolders;
}): QuantizeActivities {
  return {
    async quantizeModel({ plan, model: digest }) {
      return await pulse(async (_say, signal) => {
        const { folder, model } = await models.open(digest);
        const scratch = await mkdtemp(join(tmpdir(), 'goto3-quantize-'));
        try {
          const output = join(scratch, modelFileName);
          const answer = await runQuantizer({ input: join(folder, modelFileName), output }, scratch, signal);
          if ('refused' in answer || answer.quantized === 0) {
            const problem = 'refused' in answer ? answer.refused : 'no node of it can be quantized';
            log.warn('stays as it is', { loop: plan.loop, cycle: plan.n, digest, problem });
            return { model: digest, sizeBytes: model.sizeBytes, sizeBefore: model.sizeBytes, quantized: 0, skipped: 0 };
          }
          const sizeBytes = (await stat(output)).size;
          const int8 = { path: modelFileName, digest: await store.blobs.put(createReadStream(output)), sizeBytes };
          const { warmStart: _base, ...float } = model;
          const manifest = await keep(store, plan, 'int8', {
            ...float,
            parents: [digest],
            createdAt: new Date().toISOString(),
            precision: 'int8',
            files: model.files.map((file) => (file.path === modelFileName ? int8 : file)),
            sizeBytes,
            run: digest,
          });
          return { model: manifest, sizeBytes, sizeBefore: model.sizeBytes, ...answer };
        } finally {
          await rm(scratch, { recursive: true, force: true });
        }
      });
    },
  };
}

async function runQuantizer(
  task: QuantizeTask,
  folder: string,
  signal: AbortSignal,
): Promise<{ quantized: number; skipped: number } | { refused: string }> {
  signal.throwIfAborted();
  const child = forkProgram(new URL('./quantize-process.ts', import.meta.url), folder);
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
    if (!('error' in answer)) return answer;
    // A typed error is the quantizer's word about the model; any other (a full disk, say) may pass.
    if (answer.type === undefined) throw new Error(answer.error);
    return { refused: answer.error };
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
