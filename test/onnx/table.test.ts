import assert from 'node:assert/strict';
import fc from 'fast-check';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import type { NodeOutcome } from '../../src/onnx/quantize/report.ts';
import { scaleLevels } from '../../src/onnx/quantize/scale-levels.ts';
import { i64, randomFloats, runOnce, seededRandom } from './run.ts';

const opTypes = ({ graph }: Model): string[] => graph.nodes.map(({ opType }) => opType);

/** `ids` → rows of the table, or their sum. */
function lookup(table: Float32Array, columns: number, { isSummed }: { isSummed: boolean }): Model {
  const g = new GraphBuilder('lookup');
  const ids = g.input('ids', 'int64', ['batch', 'tokens']);
  const rows = g.gather(g.initializer('table', 'float32', [table.length / columns, columns], table), ids);
  if (isSummed) g.output('y', g.reduceSum(rows, [1]), ['batch', columns]);
  else g.output('y', rows, ['batch', 'tokens', columns]);
  return g.toModel();
}

describe('onnx/quantize/table', () => {
  it('gives every row the lowest level that clips nothing, a hundredth above what it asked for', () => {
    const scale = fc.float({ min: Math.fround(1e-4), max: Math.fround(1e-2), noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.oneof(scale, fc.constant(0)), { minLength: 1, maxLength: 40 }), (list) => {
        const scales = Float32Array.from(list);
        const { levels, codes } = scaleLevels(scales);
        for (let i = 1; i < 256; i++) assert.ok(levels[i]! >= levels[i - 1]!);
        for (const [r, wanted] of scales.entries()) {
          const level = levels[codes[r]!]!;
          assert.ok(level >= wanted);
          if (wanted > 0) assert.ok(level <= wanted * 1.019, `${level} for ${wanted}`);
        }
      }),
    );
  });

  it('holds the scales of a long table as a byte each, and each row within half a step of its level', async () => {
    const [rows, columns] = [5_000, 160];
    const random = seededRandom(3);
    // A factor of ten between rows, and one that is all zero.
    const table = randomFloats(rows * columns, random).map((value, i) => {
      const row = Math.floor(i / columns);
      return row === 7 ? 0 : value * (1 + (row % 10));
    });
    const { model, report } = quantizeDynamic(lookup(table, columns, { isSummed: false }));
    assert.equal(report.weights[0]!.channel, 'row');
    assert.equal(report.weights[0]!.bytesAfter, rows * columns + rows + 4 * 256);
    const { y } = await runOnce(model, { ids: i64([1, rows], [...Array(rows).keys()]) });
    for (let row = 0; row < rows; row++) {
      const original = table.subarray(row * columns, (row + 1) * columns);
      const step = (1.012 * original.reduce((most, value) => Math.max(most, Math.abs(value)), 0)) / 127;
      for (const [i, value] of original.entries())
        assert.ok(Math.abs(y![row * columns + i]! - value) <= 0.5001 * step, `row ${row}`);
    }
  });

  it('gives a table of short rows one scale only where they are summed up and no column is lost', async () => {
    const table = randomFloats(64 * 8, seededRandom(4));
    const summed = quantizeDynamic(lookup(table, 8, { isSummed: true }));
    assert.equal(summed.report.weights[0]!.channel, 'tensor');
    assert.deepEqual(opTypes(summed.model), ['Gather', 'DequantizeLinear', 'ReduceSum']);
    const ids = i64([2, 3], [1, 9, 63, 0, 5, 5]);
    const [float, int8] = [
      (await runOnce(lookup(table, 8, { isSummed: true }), { ids })).y!,
      (await runOnce(summed.model, { ids })).y!,
    ];
    for (const [i, value] of float.entries()) assert.ok(Math.abs(int8[i]! - value) <= (3 * 0.5001) / 127);

    const read = quantizeDynamic(lookup(table, 8, { isSummed: false }));
    assert.equal(read.report.weights[0]!.channel, 'row', 'a single row may be small, and alone');
    const faintColumn = table.map((value, i) => (i % 8 === 3 ? value * 1e-3 : value));
    const faint = quantizeDynamic(lookup(faintColumn, 8, { isSummed: true }));
    assert.equal(faint.report.weights[0]!.channel, 'row', 'one column would be rounded to nothing');
  });

  it('is right where the engine moves the dequantization behind a reshape', async () => {
    const table = randomFloats(64 * 8, seededRandom(6));
    const g = new GraphBuilder('reshaped');
    const ids = g.input('ids', 'int64', ['batch', 'tokens']);
    const gathered = g.gather(g.initializer('table', 'float32', [64, 8], table), ids);
    g.output('y', g.reduceSum(gathered, [1]), ['batch', 8]);
    const { model } = quantizeDynamic(g.toModel());
    // As a later pass or another tool may put it there.
    const [gather, dequantize, sum] = model.graph.nodes as [never, (typeof model.graph.nodes)[0], never];
    const reshape = {
      name: 'reshape',
      opType: 'Reshape',
      domain: '',
      inputs: [dequantize.outputs[0]!, 'flat'],
      outputs: ['z'],
      attributes: [],
    };
    const flat = {
      name: 'flat',
      type: 'int64' as const,
      dims: [2],
      bytes: new Uint8Array(BigInt64Array.of(-1n, 8n).buffer),
    };
    const reshaped: Model = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [gather, dequantize, reshape, sum],
        initializers: [...model.graph.initializers, flat],
        outputs: [...model.graph.outputs, { name: 'z', type: 'float32', dims: undefined }],
      },
    };
    const { z } = await runOnce(reshaped, { ids: i64([1, 64], [...Array(64).keys()]) });
    const step = table.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    for (const [i, value] of table.entries()) assert.ok(Math.abs(z![i]! - value) <= 0.5001 * step);
  });

  it('leaves matrices in float that int8 makes slower, when told from where on it pays', () => {
    const g = new GraphBuilder('small and large');
    const x = g.input('x', 'float32', ['batch', 128]);
    const random = seededRandom(8);
    const small = g.initializer('small', 'float32', [128, 127], randomFloats(128 * 127, random));
    const large = g.initializer('large', 'float32', [127, 130], randomFloats(127 * 130, random));
    g.output('y', g.matMul(g.matMul(x, small), large), ['batch', 130]);
    const outcomes = (smallest: number) => quantizeDynamic(g.toModel(), { smallest }).report.nodes;
    assert.deepEqual(
      outcomes(0).map(({ outcome }) => outcome),
      ['quantized', 'quantized'],
    );
    const [first, second] = outcomes(16_384) as [NodeOutcome, NodeOutcome];
    assert.ok(first.outcome === 'skipped' && first.code === 'wouldNotPay', JSON.stringify(first));
    assert.match(first.reason, /"small" has 16256 numbers: below 16384 float is faster/);
    assert.equal(second.outcome, 'quantized');
  });
});
