import { readFile } from 'node:fs/promises';
import type { Tensor } from '../src/onnx/model.ts';
import { openModel } from '../src/onnx/proto/open-model.ts';
import { saveModel } from '../src/onnx/proto/save-model.ts';
import { quantizeStatic } from '../src/onnx/quantize/static/quantize.ts';
import type { StaticTask } from './quantize-static-task.ts';

/** What the benchmark runs cold, against `test/oracles/onnx_static.py quantize`: both read the same task. */
const task = JSON.parse(await readFile(process.argv[2]!, 'utf8')) as StaticTask;
const rows = await readFile(task.calibration);
const rowBytes = task.shape.reduce((product, dim) => product * dim, 4);
function* batches(): Generator<Tensor[]> {
  for (let at = 0; at < rows.length; at += task.batch * rowBytes) {
    const bytes = rows.subarray(at, at + task.batch * rowBytes);
    yield [{ name: task.input, type: 'float32', dims: [bytes.length / rowBytes, ...task.shape], bytes }];
  }
}
const { perChannel, reduceRange, method } = task;
const { model } = await quantizeStatic(openModel(task.model).model, batches(), {
  perChannel,
  reduceRange,
  calibration: { method },
  isolate: false,
});
await saveModel(model, task.out);
