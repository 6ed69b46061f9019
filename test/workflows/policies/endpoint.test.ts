import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { DeployRequest, EndpointState } from '../../../src/contracts/messages.ts';
import { desiredState } from '../../../src/workflows/policies/desired-state.ts';
import { EndpointMachine, initialEndpointState } from '../../../src/workflows/policies/endpoint.ts';
import { digestOf } from '../world.ts';

let requests = 0;
const says = () => {
  requests += 1;
  return { requestId: `r${requests}`, reason: 'because', by: 'ann' };
};
const deployOf = (version: number, more: Partial<DeployRequest> = {}): DeployRequest => ({
  ...says(),
  model: digestOf(`v${version}`),
  modelName: 'm',
  loop: 'l',
  version,
  approvedByPerson: false,
  plan: {
    canary: [10],
    atLeastRequests: 1,
    atMostMs: 1,
    onTimeout: 'rollback',
    errorRateMargin: 0,
    latencyP99Relative: 0,
    probation: { forMs: 1, accuracyLoss: 0.03 },
  },
  replyTo: 'cycle/l/1',
  ...more,
});

/** As the workflow does when it has written how a rollout ended. */
function written(machine: EndpointMachine): void {
  machine.told(digestOf('deployment'));
  machine.state.ending = null;
  machine.state.outbox = [];
  machine.state.desiredIsStale = false;
}

/** Takes the next waiting request to 100 %. */
function roll(machine: EndpointMachine, request: DeployRequest, now = 0): void {
  machine.state.queue = machine.state.queue.filter((r) => r !== request);
  const { model, modelName, version } = request;
  machine.state.candidate = { model, modelName, version, sinceMs: now, weight: 100, request };
  machine.promote('it held', [], now);
  written(machine);
}

describe('policies/endpoint', () => {
  it('rolls back to the newest version that can be trusted', () => {
    const machine = new EndpointMachine('e', initialEndpointState());
    roll(machine, deployOf(1));
    roll(machine, deployOf(2));
    assert.equal(machine.state.stable?.version, 1);
    // Version 2 never finished its probation: the way back from 3 leads past it.
    roll(machine, deployOf(3));
    assert.equal(machine.state.stable?.version, 1);
    machine.passProbation();
    roll(machine, deployOf(4));
    assert.equal(machine.state.stable?.version, 3);
    machine.rollBackToStable(says(), 0);
    written(machine);
    assert.equal(machine.state.current?.version, 3);
  });

  it('trusts a version that a person approved, also within probation', () => {
    const machine = new EndpointMachine('e', initialEndpointState());
    roll(machine, deployOf(1));
    roll(machine, deployOf(2, { approvedByPerson: true }));
    roll(machine, deployOf(3));
    assert.equal(machine.state.stable?.version, 2);
  });

  it('tells waiting cycles why they will not be deployed when it freezes', () => {
    const machine = new EndpointMachine('e', initialEndpointState());
    roll(machine, deployOf(1));
    machine.deploy(deployOf(2));
    machine.freeze(says(), '2026-01-01T00:00:00.000Z');
    assert.equal(machine.state.queue.length, 0);
    assert.equal(machine.state.outbox[0]?.message.outcome, 'refused');
    assert.equal(machine.deploy(deployOf(3)).state, 'refused');
  });

  it('refuses another model, a barred one, and deploys the same one once', () => {
    const machine = new EndpointMachine('e', initialEndpointState());
    roll(machine, deployOf(1));
    assert.match(machine.deploy(deployOf(2, { modelName: 'other' })).reason, /serves the model m/);
    machine.state.barred.push(digestOf('v3'));
    assert.match(machine.deploy(deployOf(3)).reason, /barred/);
    assert.equal(machine.deploy(deployOf(1)).state, 'done');
    const again = deployOf(4);
    assert.deepEqual(machine.deploy(again), machine.deploy(again));
    assert.equal(machine.state.queue.length, 1);
  });

  it('decides anew when a cycle that is run again asks after its rollout has ended', () => {
    const machine = new EndpointMachine('e', initialEndpointState());
    roll(machine, deployOf(1));
    const request = deployOf(2);
    assert.equal(machine.deploy(request).state, 'started');
    assert.equal(machine.deploy(request).state, 'started', 'while it waits the answer stays');
    assert.equal(machine.state.queue.length, 1);
    roll(machine, request);
    assert.deepEqual([machine.deploy(request).state, machine.state.queue.length], ['done', 0]);
    machine.rollBackToStable(says(), 0);
    written(machine);
    machine.unfreeze(says());
    assert.match(machine.deploy(request).reason, /barred/);
  });

  it('carries a decided end over whatever fails on the way, and tells its cycle once', () => {
    const machine = new EndpointMachine('e', { ...initialEndpointState(), loaded: true });
    roll(machine, deployOf(1));
    const request = deployOf(2);
    const { model, modelName, version } = request;
    machine.state.candidate = { model, modelName, version, sinceMs: 0, weight: 10, request };
    machine.takeBack({ outcome: 'rolledBack', reason: 'it failed', by: 'canary' }, [], 7);
    assert.equal(machine.next(), 'end');
    machine.block('the store is full', 8);
    assert.equal(machine.next(), 'waitForPerson');
    assert.match(machine.deploy(deployOf(3)).reason, /cannot go on: the store is full/);
    machine.unfreeze(says());
    assert.equal(machine.next(), 'load');
    const nothing = { desired: null, moved: null, state: null, barred: [], known: [] };
    assert.deepEqual(machine.load(nothing, () => true, 9).unbarred, [model], 'the store does not know it yet');
    assert.equal(machine.next(), 'end');
    machine.told(null);
    machine.told(digestOf('deployment'));
    assert.deepEqual(
      machine.state.outbox.map(({ message }) => [message.outcome, message.deployment]),
      [['rolledBack', null]],
    );
  });

  it('always desires weights that sum to 100, one generation up, under any sequence of messages', () => {
    const command = fc.constantFrom(
      'deploy',
      'roll',
      'canary',
      'withdraw',
      'rollback',
      'freeze',
      'unfreeze',
      'shadow',
      'pass',
      'back',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.integer({ min: 1, max: 9 })), { maxLength: 80 }), (commands) => {
        let machine = new EndpointMachine('e', initialEndpointState());
        for (const [name, version] of commands) {
          const { state } = machine;
          if (name === 'deploy') machine.deploy(deployOf(version));
          if (name === 'roll' && state.queue[0] && !state.frozen) roll(machine, state.queue[0]);
          if (name === 'canary' && state.queue[0] && state.current && !state.candidate) {
            const request = state.queue.shift()!;
            state.candidate = {
              model: request.model,
              modelName: 'm',
              version: request.version,
              sinceMs: 0,
              weight: 10,
              request,
            };
          }
          if (name === 'withdraw' && state.candidate) {
            machine.withdraw({ ...says(), deploy: state.candidate.request.requestId });
            state.candidate = null;
            machine.abort = null;
          }
          if (name === 'rollback') machine.rollback(says());
          if (name === 'freeze') machine.freeze(says(), 'now');
          if (name === 'unfreeze') machine.unfreeze(says());
          if (name === 'shadow')
            machine.shadow({ ...says(), name: `s${version}`, model: version % 2 ? digestOf(`v${version}`) : null });
          if (name === 'pass') machine.passProbation();
          if (name === 'back' && state.rollbackAsked && !state.candidate) {
            machine.rollBackToStable(state.rollbackAsked, 0);
            written(machine);
          }

          const desired = desiredState('e', machine.state);
          const weights = desired.variants.map((v) => v.weight);
          if (machine.state.current)
            assert.equal(
              weights.reduce((a, b) => a + b, 0),
              100,
            );
          assert.ok(desired.variants.every((v) => !v.shadow || v.weight === 0));
          assert.equal(
            new Set(desired.variants.map((v) => v.name)).size,
            desired.variants.length,
            'names are distinct',
          );
          assert.ok(desired.variants.length <= 8);
          assert.equal(desired.generation, machine.state.generation + 1);
          machine = new EndpointMachine('e', JSON.parse(JSON.stringify(machine.state)) as EndpointState);
        }
      }),
      { numRuns: 200 },
    );
  });
});
