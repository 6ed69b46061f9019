import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ModelSignature, modelFileName, signatureFileName } from '../../src/contracts/model.ts';
import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { encodeFeatures } from '../../src/serving/features/encode.ts';

/** Two numeric features, classes ham and spam. */
export const numericSignature: ModelSignature = {
  schema: 'goto3/signature/v1',
  task: 'binary-classification',
  preprocessing: { kind: 'numeric', features: ['x', 'y'] },
  labels: ['ham', 'spam'],
  output: 'probabilities',
};

/** The name that numeric preprocessing gives to its one graph input. */
export const [numericInput] = Object.keys(encodeFeatures([{ x: 0, y: 0 }], numericSignature.preprocessing)) as [string];

/** P(spam) = sigmoid(x·wx + y·wy + bias), as Gemm and Softmax. */
export function linearModel({ wx = 0, wy = 0, bias = 0 }: { wx?: number; wy?: number; bias?: number }): Uint8Array {
  return numericGraph((graph, input) => {
    const weights = graph.initializer('weights', 'float32', [2, 2], new Float32Array([0, wx, 0, wy]));
    const biases = graph.initializer('biases', 'float32', [2], new Float32Array([0, bias]));
    return graph.softmax(graph.gemm(input, weights, biases));
  });
}

/** Says `share` for every row: answers tell which model gave them. */
export const constantModel = (share: number): Uint8Array => linearModel({ bias: Math.log(share / (1 - share)) });

/** The same answer as `constantModel`, after so much matrix work that a batch takes milliseconds. */
export function slowModel(share: number, size = 1_200): Uint8Array {
  return numericGraph((graph, input) => {
    const matrix = (name: string, rows: number, columns: number): Value<'float32'> =>
      graph.initializer(name, 'float32', [rows, columns], new Float32Array(rows * columns));
    let wide = graph.matMul(input, matrix('in', 2, size));
    for (const name of ['a', 'b', 'c']) wide = graph.relu(graph.matMul(wide, matrix(name, size, size)));
    const biases = graph.initializer('biases', 'float32', [2], new Float32Array([0, Math.log(share / (1 - share))]));
    return graph.softmax(graph.gemm(wide, matrix('out', size, 2), biases));
  });
}

/** Good on neutral rows, NaN as soon as x is negative. */
export function nanModel(): Uint8Array {
  return numericGraph((graph, input) => graph.softmax(graph.log(graph.exp(graph.sqrt(input)))));
}

export function numericGraph(
  body: (graph: GraphBuilder, input: Value<'float32'>) => Value<'float32'>,
  { output = numericSignature.output, classes = 2, batch = 'batch' as string | number } = {},
): Uint8Array {
  const graph = new GraphBuilder('test');
  graph.output(output, body(graph, graph.input(numericInput, 'float32', [batch, 2])), [batch, classes]);
  return encodeModel(graph.toModel());
}

export async function writeModel(
  folder: string,
  model: Uint8Array,
  signature: unknown = numericSignature,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, modelFileName), model);
  await writeFile(join(folder, signatureFileName), JSON.stringify(signature));
  return folder;
}
