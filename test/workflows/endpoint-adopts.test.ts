import assert from 'node:assert/strict';
import type { EndpointInStore } from '../../src/contracts/activities.ts';
import type { DesiredState } from '../../src/contracts/endpoint.ts';
import type { DeployRequest } from '../../src/contracts/messages.ts';
import { desiredState } from '../../src/workflows/policies/desired-state.ts';
import { EndpointMachine, initialEndpointState } from '../../src/workflows/policies/endpoint.ts';
import { digestOf } from './world.ts';

describe('an endpoint that adopts what it finds', () => {
  const found = (generation: number): DesiredState => ({
    ...{ schema: 'goto3/desired/v1', endpoint: 'mail', generation, frozen: null },
    variants: [{ name: 'current', model: digestOf('v4'), weight: 100, shadow: false }],
  });
  const position = { entry: 9, digest: digestOf('desired'), operation: 'by hand' };
  const registry = [{ model: digestOf('v4'), modelName: 'spam-filter', version: 4 }];
  const moved = { by: 'ann', reason: 'false alarms', atMs: 7 };
  const adopt = (machine: EndpointMachine, generation: number, more: Partial<EndpointInStore> = {}) =>
    machine.load(
      { desired: position, moved, state: found(generation), barred: [], known: registry, ...more },
      (operation) => operation.startsWith('endpoint/mail/'),
      8,
    );
  const before = { entry: 8, digest: digestOf('before'), operation: 'endpoint/mail/generation/8' };
  /** One that has written before. */
  const machineAt = (generation: number): EndpointMachine =>
    new EndpointMachine('mail', { ...initialEndpointState(), generation, desired: before });

  it('knows by the registry what it serves, so that the next version of the same model may follow', () => {
    const machine = machineAt(5);
    adopt(machine, 6);
    const { current, generation, frozen, adopted } = machine.state;
    assert.deepEqual([current?.modelName, current?.version, generation], ['spam-filter', 4, 6]);
    assert.deepEqual([frozen!.by, frozen!.reason], ['ann', 'the desired state was changed by hand: false alarms']);
    assert.deepEqual(adopted, { ...moved, model: digestOf('v4') });
  });

  it('never counts a generation twice, also when a hand moved the ref back to an older one', () => {
    const machine = machineAt(8);
    adopt(machine, 5);
    assert.equal(desiredState('mail', machine.state).generation, 9);
  });

  it('takes over without a freeze what an earlier life left, and its own word whose reply got lost', () => {
    const reborn = new EndpointMachine('mail', initialEndpointState());
    assert.equal(adopt(reborn, 6).adopted, null);
    assert.deepEqual([reborn.state.current?.version, reborn.state.frozen, reborn.next()], [4, null, 'idle']);
    const machine = machineAt(8);
    const ours = { ...position, operation: 'endpoint/mail/generation/9' };
    assert.equal(adopt(machine, 9, { desired: ours }).adopted, null);
    assert.deepEqual([machine.state.frozen, machine.state.generation], [null, 9]);
  });

  it('knows after the loss of its past whom to tell: the loop that made what is served', () => {
    const reborn = new EndpointMachine('mail', initialEndpointState());
    adopt(reborn, 6, { known: [{ ...registry[0]!, loop: 'spam' }] });
    assert.deepEqual(reborn.state.current, { ...registry[0], sinceMs: 8 });
    reborn.block('the store is full', 9);
    assert.deepEqual(
      reborn.notices.map(({ loop, notice }) => [loop, notice.event]),
      [['spam', 'parked']],
    );
  });

  it('keeps who is in the state that a broken glass wrote, and what was barred with it', () => {
    const machine = machineAt(8);
    const frozen = { by: 'bob', reason: 'at night', at: new Date(0).toISOString() };
    adopt(machine, 9, { state: { ...found(9), frozen }, barred: [digestOf('v5')] });
    assert.deepEqual([machine.state.frozen, machine.state.barred], [frozen, [digestOf('v5')]]);
  });

  it('writes its own state over one that nobody can read, and stays frozen', () => {
    const machine = machineAt(8);
    assert.deepEqual(adopt(machine, 9, { state: null }).adopted?.by, 'ann');
    assert.match(machine.state.frozen!.reason, /one that cannot be read: false alarms/);
    assert.deepEqual([machine.state.desired, machine.next()], [position, 'apply']);
  });

  it('refuses what it had accepted before it knew that it is frozen or barred', () => {
    const request = (loop: string, version: number): DeployRequest => ({
      ...{ requestId: `cycle/${loop}/1`, reason: 'r', by: 'b', model: digestOf(`v${version}`) },
      ...{ modelName: 'spam-filter', loop, version, approvedByPerson: false, replyTo: `cycle/${loop}/1` },
      plan: {
        ...{ canary: [], atLeastRequests: 1, atMostMs: 1, onTimeout: 'rollback' },
        ...{ errorRateMargin: 0, latencyP99Relative: 0, probation: null },
      },
    });
    const reborn = new EndpointMachine('mail', initialEndpointState());
    assert.equal(reborn.deploy(request('a', 5)).state, 'started');
    assert.equal(reborn.deploy(request('b', 6)).state, 'queued');
    adopt(reborn, 6, { barred: [digestOf('v5')] });
    assert.deepEqual(
      reborn.state.outbox.map(({ message }) => [message.requestId, message.outcome, message.reason]),
      [['cycle/a/1', 'refused', 'this model was rolled back here and is barred']],
    );
    assert.deepEqual(
      reborn.state.queue.map(({ loop }) => loop),
      ['b'],
    );
  });
});
