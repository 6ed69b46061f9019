import { OnnxError } from '../../error.ts';
import type { Model, Tensor } from '../../model.ts';
import { nameNodes } from '../../rewrite/names.ts';
import { tensorSize } from '../../tensor.ts';
import { type CalibrationBatches, type CalibrationProgress, calibrate } from '../calibrate/calibrate.ts';
import type { Kernels } from '../calibrate/forward-passes.ts';
import type { CalibrationMethod } from '../calibrate/ranges.ts';
import { quantizationMetadataKey } from '../dynamic.ts';
import type { QuantizedType } from '../scale.ts';
import { checkExcluded, planStatic, rangeValues, type StaticPlan } from './plan.ts';
import { prepareForStatic } from './prepare.ts';
import type { StaticNodeOutcome, StaticReport } from './report.ts';
import { insertQdq } from './rewrite.ts';

export interface StaticQuantizationOptions {
  /** A scale for every output channel instead of one per weight; default true. Needs operator set 13. */
  readonly perChannel?: boolean;
  /** 7-bit weights: default true, which is right on every CPU. False only where the CPUs that serve have VNNI (`cpu.ts`). */
  readonly reduceRange?: boolean;
  /** uint8 (default) is what x64 kernels multiply with int8 weights; int8 suits ARM. */
  readonly activationType?: QuantizedType;
  /** Nodes that stay float, by name; unnamed nodes are named by `nameNodes`. */
  readonly exclude?: readonly string[];
  /** How ranges follow from what the calibration rows showed; default `{ method: 'minMax' }`. */
  readonly calibration?: CalibrationMethod;
  /** See `CalibrationOptions`, also for `kernels`: false where this process does nothing else and may be blocked and killed. */
  readonly isolate?: boolean;
  readonly kernels?: Kernels;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CalibrationProgress) => void;
}

/**
 * Static int8 quantization (Q/DQ): integer weights, and integer activations at scales that `batches` show. The engine's
 * CPU provider runs the result on integer kernels from input to output of every stretch that the plan marks. `model` is
 * not changed; when nothing can be quantized it is returned itself and no batch is read. The forward passes of the
 * calibration run in a child process unless `isolate` is false.
 * @throws OnnxError for a name in `exclude` that does not exist, an operator set below 13 (10 without `perChannel`), a
 * batch that does not fit the model's inputs, values that are not finite; `CalibrationFailed` when the child process
 * ended without an answer; the signal's reason when it is aborted
 */
export async function quantizeStatic(
  model: Model,
  batches: CalibrationBatches,
  {
    perChannel = true,
    reduceRange = true,
    activationType = 'uint8',
    exclude = [],
    calibration = { method: 'minMax' },
    isolate = true,
    kernels = 'fused',
    signal,
    onProgress,
  }: StaticQuantizationOptions = {},
): Promise<{ model: Model; report: StaticReport }> {
  signal?.throwIfAborted();
  const prepared = prepareForStatic(model);
  const plan = planStatic(prepared, { exclude: checkExcluded(nameNodes(model).graph.nodes, exclude), reduceRange });
  const options = { perChannel, reduceRange, activationType, calibration };
  const nodes = outcomes(prepared, plan);
  const bytesBefore = totalBytes(model.graph.initializers);
  const changed = plan.weighted.size > 0;
  if (!changed) {
    const nothing = { weights: [], activations: [], calibrationRows: 0, bytesBefore, bytesAfter: bytesBefore };
    return { model, report: { options, changed, nodes, ...nothing } };
  }
  const opset = prepared.opsets.get('') ?? 0;
  if (perChannel && opset < 13) {
    throw new OnnxError(
      `model: operator set ${opset}; scales per channel need 13 or later, or set perChannel to false`,
    );
  }

  const { ranges, rows } = await calibrate(prepared, rangeValues(plan), batches, {
    method: calibration,
    isolate,
    kernels,
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  });
  const { graph, weights, activations } = insertQdq(prepared.graph, plan, ranges, options);
  const report: StaticReport = {
    options,
    changed,
    nodes,
    weights,
    activations,
    calibrationRows: rows,
    bytesBefore,
    bytesAfter: totalBytes(graph.initializers),
  };
  const description = JSON.stringify({ method: 'static', weights: 'int8', ...options });
  return {
    model: { ...prepared, graph, metadata: new Map([...model.metadata, [quantizationMetadataKey, description]]) },
    report,
  };
}

function outcomes({ graph }: Model, plan: StaticPlan): StaticNodeOutcome[] {
  return graph.nodes.flatMap(({ name: node, opType }, i): StaticNodeOutcome[] => {
    const reason = plan.skipped.get(i);
    if (reason !== undefined) return [{ node, opType, outcome: 'float', reason }];
    if (plan.weighted.has(i)) return [{ node, opType, outcome: 'int8' }];
    if (plan.followers.has(i)) return [{ node, opType, outcome: 'follows' }];
    return plan.clamps.has(i) ? [{ node, opType, outcome: 'merged' }] : [];
  });
}

const totalBytes = (tensors: readonly Tensor[]): number => tensors.reduce((sum, tensor) => sum + tensorSize(tensor), 0);
