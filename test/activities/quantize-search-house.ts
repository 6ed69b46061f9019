import { ModelFolders } from '../../src/activities/model-folders.ts';
import { createQuantizeActivities } from '../../src/activities/quantize.ts';
import type { CyclePlan, QuantizeActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { Model } from '../../src/contracts/manifests.ts';
import { getManifest, putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/types.ts';
import { numericGraph } from '../serving/models.ts';

export interface SearchCase {
  store: string;
  models: string;
  plan: CyclePlan;
  model: Digest;
}

/** The activity on a store of this machine, as a worker builds it. */
export async function quantizerOf({ store, models }: SearchCase): Promise<QuantizeActivities> {
  const opened = await openStore(store, { durability: 'fast' });
  return createQuantizeActivities({ store: opened, models: new ModelFolders(opened, models), smallest: 0 });
}

/**
 * A chain of layers of width 16 that hand on `x` beside an outlier; the outlier ends after `spoiled` layers. Eight bits
 * for both leave nothing of `x`, so all of these layers have to stay float, and the rest need not.
 */
export function chainModel({
  spoiled,
  layers = 6,
  width = 16,
}: {
  spoiled: number;
  layers?: number;
  width?: number;
}): Uint8Array {
  return numericGraph((graph, input) => {
    const spread = new Float32Array(2 * width).map((_, i) => (i % width === 0 ? 0 : i < width ? 1 : 0));
    const constant = graph.initializer(
      'outlier',
      'float32',
      [width],
      new Float32Array(width).map((_, i) => (i === 0 && spoiled > 0 ? 5_000 : 0)),
    );
    let h = graph.add(graph.matMul(input, graph.initializer('in', 'float32', [2, width], spread)), constant);
    for (let l = 0; l < layers; l++) {
      const keepsOutlier = l < spoiled - 1;
      const weights = new Float32Array(width * width).map((_, i) => {
        const [row, column] = [Math.floor(i / width), i % width];
        if (row === 0 || column === 0) return row === column && keepsOutlier ? 1 : 0;
        return row === column ? 0.9 : 0.1 / width;
      });
      h = graph.matMul(h, graph.initializer(`layer${l}`, 'float32', [width, width], weights));
    }
    const gather = new Float32Array(width * 2).map((_, i) => (i % 2 === 1 && i > 1 ? 4 / width : 0));
    return graph.softmax(graph.matMul(h, graph.initializer('out', 'float32', [width, 2], gather)));
  });
}

/** The same model, as if it had been trained on that dataset. */
export async function trainedOn(store: Store, model: Digest, dataset: Digest): Promise<Digest> {
  return await putManifest(store, Model.parse({ ...(await getManifest(store, model, 'Model')), dataset }));
}
