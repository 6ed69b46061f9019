import { calibrate } from '../../src/onnx/quantize/calibrate/calibrate.ts';
import { residualNet } from './static-models.ts';

/** Calibrates until it is killed; says so on its first progress. */
const { model, rows } = residualNet();
function* endless() {
  for (;;) yield [rows(2)];
}
await calibrate(model, ['x'], endless(), {
  method: { method: 'mse' },
  onProgress: ({ batches }) => {
    if (batches === 1) console.log('working');
  },
});
