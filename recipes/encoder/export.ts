import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelFileName } from '../../src/contracts/model.ts';
import type { Encoder } from '../../src/onnx/encoder/folder.ts';
import type { Model, Tensor } from '../../src/onnx/model.ts';
import { saveModel } from '../../src/onnx/proto/save-model.ts';
import { writeSafetensors } from '../../src/onnx/safetensors/write.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { type Adapter, type LoraOptions, mergeAdapters } from '../../src/onnx/train/lora.ts';
import type { Parameters } from '../../src/onnx/train/parameters.ts';
import { type PeftBase, writePeftAdapter } from '../../src/onnx/train/peft.ts';
import { tokenizerFiles } from './base.ts';
import { classifierModel, headNames } from './graphs.ts';

export interface Trained {
  readonly encoder: Encoder;
  readonly parameters: Parameters;
  readonly lora: { readonly adapters: readonly Adapter[]; readonly options: LoraOptions } | undefined;
  readonly classes: readonly string[];
}

/** Where the base is, and how its card names it. */
export interface ExportBase extends Omit<PeftBase, 'prefix'> {
  readonly folder: string;
}

/**
 * Writes what is served and what is kept: `model.onnx` (adapters merged), the tokenizer's files, and of a LoRA training
 * `adapter/` in PEFT's layout with the head beside it.
 */
export async function exportModel(folder: string, trained: Trained, base: ExportBase): Promise<void> {
  const { encoder, parameters, lora, classes } = trained;
  const weight = (name: string): Float32Array => parameters.get(name)!.weight;
  const head = { weight: weight(headNames.weight), bias: weight(headNames.bias) };
  const shape = { classes: classes.length, pooling: encoder.pooling.pooling };
  const model = withWeights(classifierModel(encoder, head, shape), parameters);
  await mkdir(folder, { recursive: true });
  if (lora === undefined) await saveModel(model, join(folder, modelFileName));
  else {
    await saveModel(mergeAdapters(model, lora.adapters, lora.options, weight), join(folder, modelFileName));
    const adapterFolder = join(folder, 'adapter');
    await mkdir(adapterFolder, { recursive: true });
    const prefix = [...encoder.weights.keys()].some((name) => name.startsWith('bert.')) ? 'bert.' : '';
    await writePeftAdapter(adapterFolder, lora.adapters, lora.options, weight, { ...base, prefix });
    await writeSafetensors(join(adapterFolder, 'head.safetensors'), headTensors(parameters));
  }
  for (const name of tokenizerFiles)
    if (existsSync(join(base.folder, name))) await copyFile(join(base.folder, name), join(folder, name));
  await writeFile(join(folder, 'labels.json'), `${JSON.stringify(classes)}\n`);
}

/** Trained weights in the places of those that the model was built with. */
function withWeights(model: Model, parameters: Parameters): Model {
  const initializers = model.graph.initializers.map((tensor): Tensor => {
    const trained = parameters.get(tensor.name);
    return trained === undefined ? tensor : tensorOf(tensor.name, 'float32', tensor.dims, trained.weight);
  });
  return { ...model, graph: { ...model.graph, initializers } };
}

/** As a PyTorch linear layer has them: [classes, hidden] and [classes]. */
function headTensors(parameters: Parameters): Tensor[] {
  const { weight, dims } = parameters.get(headNames.weight)!;
  const bias = parameters.get(headNames.bias)!;
  const [hidden, classes] = dims as [number, number];
  const turned = Float32Array.from(weight, (_, i) => weight[(i % hidden) * classes + Math.floor(i / hidden)]!);
  return [
    tensorOf(headNames.weight, 'float32', [classes, hidden], turned),
    tensorOf(headNames.bias, 'float32', [classes], bias.weight),
  ];
}
