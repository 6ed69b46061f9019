import { createReadStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import type { QuantizeActivities } from '../contracts/activities.ts';
import { failureTypes } from '../contracts/failures.ts';
import { modelFileName } from '../contracts/model.ts';
import { forkProgram } from '../serving/program.ts';
import { putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { ModelFolders } from './model-folders.ts';
import { pin } from './pins.ts';
import { pulse } from './pulse.ts';
import type { QuantizeAnswer, QuantizeTask } from './quantize-process.ts';

/** Dynamic int8 of MatMul, Gemm and embedding tables; the float model's signature and other files stay. */
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
          const { quantized, skipped } = await runQuantizer(
            { input: join(folder, modelFileName), output },
            scratch,
            signal,
          );
          const sizeBytes = (await stat(output)).size;
          const int8 = { path: modelFileName, digest: await store.blobs.put(createReadStream(output)), sizeBytes };
          const { warmStart: _base, ...float } = model;
          const manifest = await putManifest(store, {
            ...float,
            parents: [digest],
            createdAt: new Date().toISOString(),
            precision: 'int8',
            files: model.files.map((file) => (file.path === modelFileName ? int8 : file)),
            sizeBytes,
            run: digest,
          });
          await pin(store, plan, 'int8', manifest);
          return { model: manifest, sizeBytes, sizeBefore: model.sizeBytes, quantized, skipped };
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
): Promise<{ quantized: number; skipped: number }> {
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
    if ('error' in answer)
      throw ApplicationFailure.nonRetryable(answer.error, answer.type ?? failureTypes.invalidInput);
    return answer;
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}
