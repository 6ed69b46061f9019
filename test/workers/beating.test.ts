import assert from 'node:assert/strict';
import { MockActivityEnvironment } from '@temporalio/testing';
import { beating } from '../../src/workers/beating.ts';

describe('activities of the control worker', () => {
  const { greet } = beating({
    greet: async ({ name, after }: { name: string; after: Promise<void> }) => {
      await after;
      return `hello ${name}`;
    },
  });

  it('beat while they work, when the server expects it', async () => {
    const env = new MockActivityEnvironment({ heartbeatTimeoutMs: 150 });
    let beats = 0;
    const thirdBeat = new Promise<void>((resolve) => {
      env.on('heartbeat', () => {
        beats += 1;
        if (beats === 3) resolve();
      });
    });
    assert.equal(await env.run(greet, { name: 'ann', after: thirdBeat }), 'hello ann');
    assert.equal(beats, 3);
  });

  it('do not beat when nobody listens, and pass their failure on', async () => {
    const env = new MockActivityEnvironment({});
    env.on('heartbeat', () => assert.fail('nobody asked for a beat'));
    assert.equal(await env.run(greet, { name: 'bob', after: Promise.resolve() }), 'hello bob');
    await assert.rejects(env.run(greet, { name: 'eve', after: Promise.reject(new Error('no')) }), /no/);
  });
});
