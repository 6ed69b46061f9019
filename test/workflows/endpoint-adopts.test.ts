import assert from 'node:assert/strict';
import type { DesiredState } from '../../src/contracts/endpoint.ts';
import { EndpointMachine, initialEndpointState } from '../../src/workflows/policies/endpoint.ts';
import { digestOf } from './world.ts';

describe('an endpoint that adopts what it finds', () => {
  const found = (generation: number): DesiredState => ({
    ...{ schema: 'goto3/desired/v1', endpoint: 'mail', generation, frozen: null },
    variants: [{ name: 'current', model: digestOf('v4'), weight: 100, shadow: false }],
  });
  const position = { entry: 9, digest: digestOf('desired'), operation: 'by hand' };
  const registry = [{ model: digestOf('v4'), modelName: 'spam-filter', version: 4 }];
  const adopt = (machine: EndpointMachine, generation: number): void =>
    machine.adopt(position, found(generation), registry, 'ann', 'test', 0, new Date(0).toISOString());

  it('knows by the registry what it serves, so that the next version of the same model may follow', () => {
    const machine = new EndpointMachine('mail', initialEndpointState());
    adopt(machine, 6);
    const { current, generation, frozen } = machine.state;
    assert.deepEqual([current?.modelName, current?.version, generation], ['spam-filter', 4, 6]);
    assert.match(frozen!.reason, /changed by hand/);
  });

  it('never counts a generation twice, also when a hand moved the ref back to an older one', () => {
    const machine = new EndpointMachine('mail', { ...initialEndpointState(), generation: 8 });
    adopt(machine, 5);
    assert.equal(machine.desiredState().generation, 9);
  });
});
