import assert from 'node:assert/strict';
import type { ModelSignature } from '../../../src/contracts/model.ts';
import type { RunningEndpoint } from '../../../src/serving/endpoint/main.ts';
import { numericGraph, numericSignature } from '../models.ts';
import { World } from '../world.ts';

/** Models of numeric columns: a regression, and a classification with three classes. */
describe('endpoint: tabular models', () => {
  let world: World;
  let endpoint: RunningEndpoint;
  before(async () => {
    world = await World.open();
    endpoint = await world.start();
  });
  after(() => world.close());

  const ask = async (body: string, headers: Record<string, string>): Promise<{ status: number; text: string }> => {
    const reply = await fetch(`${endpoint.url}/invocations`, { method: 'POST', body, headers });
    return { status: reply.status, text: await reply.text() };
  };
  const json = { 'content-type': 'application/json' };
  const csv = { 'content-type': 'text/csv', accept: 'text/csv' };

  it('answers a regression in JSON and CSV, by name and by place', async () => {
    // 10·x − y: whoever mixes the columns up gets another answer.
    const price = numericGraph(
      (graph, input) => graph.matMul(input, graph.initializer('w', 'float32', [2, 1], new Float32Array([10, -1]))),
      { classes: 1, output: 'price' },
    );
    const signature: ModelSignature = { ...numericSignature, task: 'regression', labels: [], output: 'price' };
    const generation = await world.deployAndWait(endpoint, { model: await world.model(price, signature) });
    const one = '{"predictions":[{"label":"18","score":18}]}';
    assert.deepEqual(await ask('{"y": 2, "x": 2, "id": "row"}', json), { status: 200, text: one });
    assert.deepEqual(await ask('{"instances": [{"features": [2, 2]}]}', json), { status: 200, text: one });
    assert.deepEqual(await ask('2,2\n1,0.5\n', csv), { status: 200, text: '18\n9.5\n' });
    assert.deepEqual(await ask('y,x\n2,2\n', { ...csv, 'content-type': 'text/csv; header=present' }), {
      status: 200,
      text: '18\n',
    });
    const [record] = await world.capturesOf(generation, 5);
    assert.deepEqual(record!.answer, { label: '18', score: 18 });
  });

  it('answers three classes, with the label as CSV quotes it', async () => {
    const species = numericGraph(
      (graph, input) => {
        const weights = graph.initializer('w', 'float32', [2, 3], new Float32Array([9, 0, 0, 0, 9, 0]));
        return graph.softmax(graph.matMul(input, weights));
      },
      { classes: 3 },
    );
    const signature: ModelSignature = {
      ...numericSignature,
      task: 'multiclass-classification',
      labels: ['setosa', 'virginica, late', 'other'],
    };
    await world.deployAndWait(endpoint, { model: await world.model(species, signature) });
    const { status, text } = await ask('1,0\n0,1\n-1,-1\n', csv);
    assert.equal(status, 200);
    assert.match(text, /^setosa,0\.99\d*\n"virginica, late",0\.99\d*\nother,0\.99\d*\n$/);
    assert.match((await ask('1,0', { 'content-type': 'text/csv' })).text, /^\{"predictions":\[\{"label":"setosa"/);
  });
});
