import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import { deployVersion } from '../../src/client/deploy-version.ts';
import { InvalidArgument, Refused } from '../../src/client/errors.ts';
import { refNames } from '../../src/contracts/names.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { Registry, rowsOf } from '../models/registry.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { Worlds } from '../workflows/world.ts';
import { documentOf, runCli } from './cli/run-cli.ts';

describe('a version is rolled out by hand', function () {
  this.timeout(60_000);
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let registry: Registry;
  let goto3: Goto3;
  const worlds = new Worlds();

  before(async () => {
    registry = await Registry.open('deploy');
    await registry.deliver(rowsOf('2002-07-10', 40));
    const probation = { for: '7d', rollbackOn: { accuracy: '-3pt' } };
    await registry.apply({
      rollout: { endpoint: 'shop', canary: ['50%'], each: { atLeast: '1 requests' }, probation },
    });
    for (const line of [0.3, 0.1, 0]) await registry.approve(await registry.train(line));
    env = await startTemporal();
    worlds.client = env.client;
    const environment = readEnvironment({ GOTO3_HOME: registry.folder, TEMPORAL_ADDRESS: env.address });
    goto3 = await connect({ environment, by: 'ann' });
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await goto3?.close();
    await workers?.stop();
    await env?.teardown();
    await registry.close();
  });

  const word = (requestId: string) => ({ requestId, reason: 'it was promoted', by: 'ann' });
  const serves = async (version: number) =>
    await eventually(`version ${version} serves`, async () => {
      const { current, last } = await goto3.endpoint('shop').status();
      return current?.version === version && last?.model === current.model && current;
    });

  it('starts the endpoint, by the rules of the loop; asked twice it is one request', async () => {
    const answers = await Promise.all([1, 2].map(() => deployVersion(goto3, 'prices', 1, word('ticket-1'))));
    for (const { state, endpoint, version } of answers)
      assert.deepEqual([state, endpoint, version], ['started', 'shop', 1]);
    await serves(1);
    assert.equal((await deployVersion(goto3, 'prices', 1, word('ticket-1'))).state, 'started', 'its first answer');
    assert.equal((await deployVersion(goto3, 'prices', 1, word('ticket-2'))).reason, 'already serving');
    assert.equal(worlds.of('shop').calls.filter((call) => call === 'desired current=100').length, 1);
  });

  it('at the shell: through the canary, and a version that a person approved is a way back at once', async () => {
    const { digest } = (await registry.store.refs.read(refNames.versions('prices')))!;
    await registry.point(refNames.anchor('prices'), digest, 'bob');
    const ran = await runCli(registry.folder, ['models', 'deploy', 'prices@3', '--by', 'ann', '--json'], {
      TEMPORAL_ADDRESS: env.address,
    });
    assert.equal(ran.code, 0, ran.stderr);
    const { state, reason } = documentOf<{ state: string; reason: string }>(ran);
    assert.deepEqual([state, reason], ['started', 'asked by hand']);
    assert.equal((await serves(3)).model, digest);
    const calls = worlds.of('shop').calls.filter((call) => call.startsWith('desired'));
    assert.ok(calls.includes('desired current=50 candidate=50'), calls.join());
    // Nothing has finished probation: a version that no person approved would leave version 1 as the way back.
    await deployVersion(goto3, 'prices', 2, word('ticket-3'));
    await serves(2);
    assert.equal((await goto3.endpoint('shop').status()).stable?.version, 3);
  });

  it('refuses what the endpoint refuses, what is gone, and what has nowhere to go', async () => {
    await goto3.endpoint('shop').freeze({ requestId: 'f', reason: 'audit' });
    await assert.rejects(
      deployVersion(goto3, 'prices', 3, word('ticket-4')),
      (error) => error instanceof Refused && /frozen/.test(error.message),
    );
    await assert.rejects(deployVersion(goto3, 'prices', 9, word('ticket-5')), /has no version 9/);
    await registry.apply();
    await assert.rejects(
      deployVersion(goto3, 'prices', 3, word('ticket-6')),
      (error) => error instanceof InvalidArgument && /has no endpoint/.test(error.message),
    );
  });
});
