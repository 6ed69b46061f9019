import { Worker } from 'node:worker_threads';
import type { QuantizeActivities } from '../contracts/activities.ts';
import { modelFileName } from '../contracts/model.ts';
import { getManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { pin } from './pins.ts';
import { pulse } from './pulse.ts';
import type { QuantizeAnswer } from './quantize-thread.ts';

/** Dynamic int8 of MatMul, Gemm and embedding tables; the float model's signature and other files stay. */
export function createQuantizeActivities({ store }: { store: Store }): QuantizeActivities {
  return {
    async quantizeModel({ plan, model: digest }) {
      return await pulse(async (_say, signal) => {
        const model = await getManifest(store, digest, 'Model');
        const file = model.files.find(({ path }) => path === modelFileName)!;
        const { bytes, quantized, skipped } = await inThread(await store.blobs.read(file.digest), signal);
        const sizeBytes = bytes.byteLength;
        const int8 = { path: modelFileName, digest: await store.blobs.put(bytes), sizeBytes };
        const { warmStart: _base, ...float } = model;
        const manifest = await putManifest(store, {
          ...float,
          parents: [digest],
          createdAt: new Date().toISOString(),
          precision: 'int8',
          files: model.files.map((other) => (other.path === modelFileName ? int8 : other)),
          sizeBytes,
          run: digest,
        });
        await pin(store, plan, 'int8', manifest);
        return { model: manifest, sizeBytes, sizeBefore: file.sizeBytes, quantized, skipped };
      });
    },
  };
}

/** Heavy JavaScript never runs on the thread that beats. */
async function inThread(model: Uint8Array, signal: AbortSignal): Promise<QuantizeAnswer> {
  const thread = new Worker(new URL('./quantize-thread.ts', import.meta.url), { workerData: model });
  const stop = (): void => void thread.terminate();
  signal.addEventListener('abort', stop);
  try {
    return await new Promise((resolve, reject) => {
      thread.once('message', resolve);
      thread.once('error', reject);
      thread.once('exit', () => reject(signal.reason ?? new Error('the quantizing thread ended without an answer')));
    });
  } finally {
    signal.removeEventListener('abort', stop);
    await thread.terminate();
  }
}
