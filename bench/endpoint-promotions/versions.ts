import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../src/contracts/digest.ts';
import { type ModelSignature, modelFileName, signatureFileName } from '../../src/contracts/model.ts';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { putFolder } from '../../src/store/folders.ts';
import { putManifest } from '../../src/store/manifests.ts';
import type { Store } from '../../src/store/types.ts';

const columns = 32;
const width = 64;
const signature: ModelSignature = {
  schema: 'goto3/signature/v1',
  task: 'binary-classification',
  preprocessing: { kind: 'numeric', features: Array.from({ length: columns }, (_, place) => `column-${place}`) },
  labels: ['ham', 'spam'],
  output: 'probabilities',
};

/** Puts version `number` into the store; a broken one loads, and fails on every request. */
export async function putVersion(store: Store, folder: string, number: number, isBroken: boolean): Promise<Digest> {
  const own = join(folder, `v${number}`);
  await mkdir(own, { recursive: true });
  await writeFile(join(own, modelFileName), encodeModel(network(number, isBroken).toModel()));
  await writeFile(join(own, signatureFileName), JSON.stringify(signature));
  const nothing = await store.blobs.put(Buffer.from('nothing'));
  const files = await putFolder(store, own);
  return await putManifest(store, {
    ...{
      kind: 'Model',
      parents: [],
      createdAt: new Date().toISOString(),
      model: 'bench',
      loop: 'bench',
      cycle: number + 1,
    },
    ...{ precision: 'fp32', files, signature, run: nothing, dataset: nothing },
    sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  });
}

function network(seed: number, isBroken: boolean): GraphBuilder {
  const graph = new GraphBuilder(`network-${seed}`);
  const input = graph.input('features', 'float32', ['batch', columns]);
  const hidden = graph.initializer('hidden', 'float32', [columns, width], waves(columns * width, seed));
  const weights = graph.initializer('weights', 'float32', [width, 2], waves(width * 2, seed));
  let scores = graph.matMul(graph.relu(graph.matMul(input, hidden)), weights);
  if (isBroken) {
    // Rows are looked up far outside of the table: ONNX Runtime refuses when it runs, not when it loads.
    const table = graph.initializer('table', 'float32', [2, 2], new Float32Array(4));
    const far = graph.initializer('far', 'float32', [1], Float32Array.of(1e6));
    const rows = graph.cast(graph.reduceSum(graph.mul(graph.relu(input), far), [1]), 'int64');
    scores = graph.add(scores, graph.gather(table, rows));
  }
  graph.output('probabilities', graph.softmax(scores), ['batch', 2]);
  return graph;
}

const waves = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, index) => Math.sin(index + seed) / 100);
