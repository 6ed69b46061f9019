import { strict as assert } from 'node:assert';
import * as ort from 'onnxruntime-node';
import type { Attribute } from '../../src/onnx/model.ts';
import { liftConstants } from '../../src/onnx/rewrite/constants.ts';
import { tensorOf, valuesOf } from '../../src/onnx/tensor.ts';
import { validateModel } from '../../src/onnx/validate.ts';
import { conditional, linear, nodeOf, withGraph } from './models.ts';
import { f32, runOnce } from './run.ts';

const weights = Float32Array.of(1, 2, 3, 4);
const constant = (name: string, attribute: Attribute) => nodeOf('Constant', [], [name], { attributes: [attribute] });

describe('onnx/rewrite: constants', () => {
  it('moves the values of Constant nodes to the initializers', async () => {
    const plain = linear(2, 2, weights);
    const value = { name: 'value', type: 'tensor', value: tensorOf('', 'float32', [2, 2], weights) } as const;
    const model = withGraph(plain, { initializers: [], nodes: [constant('w', value), ...plain.graph.nodes] });
    const { model: after, lifted, fixed } = liftConstants(model);
    assert.deepEqual([lifted, fixed], [['w'], []]);
    assert.deepEqual(after.graph, plain.graph);
    const feeds = { x: f32([1, 2], [1, 10]) };
    assert.deepEqual(await runOnce(after, feeds), await runOnce(model, feeds));
  });

  it('knows the scalar and list forms, and leaves what it cannot move', () => {
    const nodes = [
      constant('f', { name: 'value_float', type: 'float', value: 0.5 }),
      constant('fs', { name: 'value_floats', type: 'floats', value: [1, 2] }),
      constant('i', { name: 'value_int', type: 'int', value: -7 }),
      constant('is', { name: 'value_ints', type: 'ints', value: [2n ** 62n, 1] }),
      constant('s', { name: 'value_string', type: 'string', value: Uint8Array.of(97) }),
      constant('y', { name: 'value_float', type: 'float', value: 1 }), // a graph output
      nodeOf('Constant', [], ['mine'], { domain: 'com.acme' }),
    ];
    const opsets = new Map([
      ['', 18],
      ['com.acme', 1],
    ]);
    const model = withGraph({ ...linear(2, 2, weights), opsets }, { nodes, initializers: [] });
    const { model: after, lifted } = liftConstants(model);
    validateModel(after);
    assert.deepEqual(lifted, ['f', 'fs', 'i', 'is']);
    assert.deepEqual(
      after.graph.nodes.map(({ outputs }) => outputs[0]),
      ['s', 'y', 'mine'],
    );
    const [f, fs, i, is] = after.graph.initializers;
    assert.deepEqual([...valuesOf(f!, 'float32'), f!.dims], [0.5, []]);
    assert.deepEqual([...valuesOf(fs!, 'float32'), fs!.dims], [1, 2, [2]]);
    assert.deepEqual([...valuesOf(i!, 'int64'), i!.dims], [-7n, []]);
    assert.deepEqual([...valuesOf(is!, 'int64'), is!.dims], [2n ** 62n, 1n, [2]]);
  });

  it('reaches into subgraphs', async () => {
    const model = conditional();
    const [choice] = model.graph.nodes;
    const attributes = choice!.attributes.map((attribute): Attribute => {
      if (attribute.type !== 'graph') return attribute;
      const [node] = attribute.value.nodes;
      const two = constant('two', { name: 'value_float', type: 'float', value: 2 });
      const nodes = [two, { ...node!, opType: 'Mul', inputs: ['x', 'two'] }];
      return { ...attribute, value: { ...attribute.value, nodes } };
    });
    const { model: after, lifted } = liftConstants(withGraph(model, { nodes: [{ ...choice!, attributes }] }));
    validateModel(after);
    assert.deepEqual(lifted, ['two', 'two']); // one in either branch
    const out = await runOnce(after, { condition: boolean(true), x: f32([2], [1, 2]) });
    assert.deepEqual([...out.y!], [2, 4]);
  });

  it('takes initializers off the list of inputs', async () => {
    const plain = linear(2, 2, weights);
    const inputs = [...plain.graph.inputs, { name: 'w', type: 'float32', dims: [2, 2] } as const];
    const listed = withGraph(plain, { inputs });
    validateModel(listed);
    const { model, fixed, lifted } = liftConstants(listed);
    assert.deepEqual([fixed, lifted], [['w'], []]);
    assert.deepEqual(model.graph, plain.graph);
    const feeds = { x: f32([1, 2], [1, 10]) };
    assert.deepEqual(await runOnce(model, feeds), await runOnce(listed, feeds));
  });

  it('returns a model that needs nothing as it is', () => {
    for (const model of [linear(2, 2, weights), conditional()]) assert.equal(liftConstants(model).model, model);
  });
});

const boolean = (value: boolean): ort.Tensor => new ort.Tensor('bool', [value], []);
