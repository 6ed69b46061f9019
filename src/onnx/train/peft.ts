import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tensor } from '../model.ts';
import { writeSafetensors } from '../safetensors/write.ts';
import { tensorOf } from '../tensor.ts';
import type { Adapter, LoraOptions } from './lora.ts';

export const peftFiles = { weights: 'adapter_model.safetensors', config: 'adapter_config.json' } as const;

export interface PeftBase {
  /** Where the base came from, as the hub names it; null when that is not known. */
  readonly name: string | null;
  readonly revision: string | null;
  /** What the base's model class puts before the names of its modules: `bert.` in a checkpoint with a head, else nothing. */
  readonly prefix: string;
}

/**
 * Writes adapters as PEFT keeps them (https://huggingface.co/docs/peft/developer_guides/checkpoint): `PeftModel.from_pretrained`
 * puts them on the base as `AutoModel` loads it. PEFT's matrices are [rank, inputs] and [outputs, rank]: turned round.
 */
export async function writePeftAdapter(
  folder: string,
  adapters: readonly Adapter[],
  { rank, alpha, targets }: LoraOptions,
  values: (name: string) => Float32Array,
  base: PeftBase,
): Promise<void> {
  const tensors = adapters.flatMap(({ module, inputs, outputs, a, b }): Tensor[] => {
    const at = `base_model.model.${base.prefix}${module}`;
    return [
      tensorOf(`${at}.lora_A.weight`, 'float32', [rank, inputs], transposed(values(a), inputs, rank)),
      tensorOf(`${at}.lora_B.weight`, 'float32', [outputs, rank], transposed(values(b), rank, outputs)),
    ];
  });
  await writeSafetensors(join(folder, peftFiles.weights), tensors, { metadata: { format: 'pt' } });
  const config = {
    peft_type: 'LORA',
    task_type: 'FEATURE_EXTRACTION',
    base_model_name_or_path: base.name,
    revision: base.revision,
    r: rank,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: targets,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    modules_to_save: null,
  };
  await writeFile(join(folder, peftFiles.config), `${JSON.stringify(config, null, 2)}\n`);
}

/** [rows, columns] → [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
