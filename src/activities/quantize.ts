import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { log } from '@temporalio/activity';
import type { QuantizeActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Model } from '../contracts/manifests.ts';
import { modelFileName } from '../contracts/model.ts';
import { needsReducedRange, readCpuFeatures } from '../onnx/quantize/cpu.ts';
import { type Arithmetic, arithmeticHere } from '../onnx/quantize/instruction-set.ts';
import { fewestThatPay } from '../onnx/quantize/pays.ts';
import { putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { ModelFolders } from './model-folders.ts';
import { keep } from './pins.ts';
import { pulse } from './pulse.ts';
import { runQuantizer } from './quantize/quantizer.ts';
import { QuantizationReport } from './quantize/records.ts';
import { searchFloatLayers } from './quantize/search.ts';
import { readSpec } from './spec.ts';

/**
 * Dynamic int8 of MatMul, Gemm, LSTM and embedding tables; the float model's signature and other files stay. A model in
 * which nothing can be quantized is its own answer, with `quantized` 0: int8 is a contestant, not a condition. With
 * `quantize.search` in the loop file the most sensitive layers stay float, as few as the margin allows.
 */
export function createQuantizeActivities({
  store,
  models,
  smallest = fewestThatPay,
}: {
  store: Store;
  models: ModelFolders;
  /** Matrices with fewer weights stay float. */
  smallest?: number;
}): QuantizeActivities {
  return {
    async quantizeModel({ plan, model: digest }) {
      return await pulse(async (say, signal) => {
        const { folder, model } = await models.open(digest);
        const { spec } = await readSpec(store, plan.specDigest);
        const weightBits = needsReducedRange(await readCpuFeatures()) ? 7 : 8;
        const arithmetic: Arithmetic = { ...(await arithmeticHere()), weightBits };
        const scratch = await mkdtemp(join(tmpdir(), 'goto3-quantize-'));
        const warn = (problem: string): void => log.warn(problem, { loop: plan.loop, cycle: plan.n, digest });
        const quantizeTo = async (output: string, exclude: string[]) =>
          await runQuantizer(
            {
              op: 'quantize',
              input: join(folder, modelFileName),
              output,
              reduceRange: arithmetic.weightBits === 7,
              smallest,
              exclude,
            },
            scratch,
            signal,
          );
        try {
          const output = join(scratch, modelFileName);
          let answer = await quantizeTo(output, []);
          if (answer.op === 'refused' || answer.quantized === 0) {
            warn(`stays as it is: ${answer.op === 'refused' ? answer.problem : 'no node of it can be quantized'}`);
            return { model: digest, sizeBytes: model.sizeBytes, sizeBefore: model.sizeBytes, quantized: 0, skipped: 0 };
          }
          const search = spec.quantize === 'never' ? undefined : spec.quantize.search;
          const report =
            search &&
            (await searchFloatLayers(store, {
              plan,
              digest,
              model,
              folder,
              scratch,
              arithmetic,
              smallest,
              ...search,
              margin: plan.quantizeMargin ?? 0,
              say,
              warn,
              signal,
            }));
          if (search && !report) warn('no search: the model was trained on no rows of the store');
          if (report && report.keptFloat.length > 0) answer = await quantizeTo(output, report.keptFloat);
          if (answer.op === 'refused') throw new Error(`layers ${report?.keptFloat.join(', ')}: ${answer.problem}`);
          const { quantized, skipped, sizeBytes } = answer;
          const int8 = { path: modelFileName, digest: await store.blobs.put(createReadStream(output)), sizeBytes };
          const manifest = await keep(store, plan, 'int8', {
            ...int8Of(model, digest, int8),
            quantization: {
              ...arithmetic,
              ...(report && {
                keptFloat: report.keptFloat.length,
                report: await putJson(store, QuantizationReport, report),
              }),
            },
          });
          const found = report && {
            trials: report.trials.length,
            keptFloat: report.keptFloat.length,
            holds: report.holds,
          };
          return {
            model: manifest,
            sizeBytes,
            sizeBefore: model.sizeBytes,
            quantized,
            skipped,
            ...(found && { search: found }),
          };
        } finally {
          await rm(scratch, { recursive: true, force: true });
        }
      });
    },
  };
}

function int8Of(model: Model, digest: Digest, int8: Model['files'][number]): Model {
  const { warmStart: _base, ...float } = model;
  const files = model.files.map((file) => (file.path === modelFileName ? int8 : file));
  return {
    ...float,
    parents: [digest],
    createdAt: new Date().toISOString(),
    precision: 'int8',
    files,
    // As `registerModel` counts it: the model's graph.
    sizeBytes: int8.sizeBytes,
    run: digest,
  };
}
