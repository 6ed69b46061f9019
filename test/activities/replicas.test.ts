import assert from 'node:assert/strict';
import { generationServed, type Replica } from '../../src/activities/endpoint/replicas.ts';

describe('a generation on several replicas', () => {
  const replica = (name: string, generation: number | undefined, error?: Replica['error']): Replica => ({
    ...{ replica: name, url: `http://${name}`, generation, error },
  });
  const failing = (name: string, mayPass: boolean) =>
    replica(name, 6, { generation: 7, message: mayPass ? 'the store is away' : 'it does not load', mayPass });

  it('is served when all that answer serve it', () => {
    const state = generationServed([replica('a', 7), replica('b', undefined)], 7);
    assert.deepEqual([state.serving, state.failed], [true, false]);
  });

  it('is waited for while a failure may pass, on whichever replica', () => {
    const state = generationServed([replica('a', 7), failing('b', true)], 7);
    assert.deepEqual(state, { serving: false, failed: false, detail: 'b: the store is away' });
  });

  it('never will be when one replica says so', () => {
    const state = generationServed([failing('a', true), failing('b', false)], 7);
    assert.deepEqual(state, { serving: false, failed: true, detail: 'b: it does not load' });
  });

  it('is none of an error about another generation', () => {
    const old = replica('a', 6, { generation: 5, message: 'it does not load', mayPass: false });
    assert.deepEqual(generationServed([old], 7).failed, false);
  });
});
