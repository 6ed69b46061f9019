import assert from 'node:assert/strict';
import { readRegressions } from './chaos/regressions.ts';
import { runChaos } from './chaos/run.ts';

/** Faults that are over within seconds: the others take time-outs, which the long form has. */
const quick = ['kill a worker', 'kill the server', 'kill the endpoint', 'kill a job', 'kill up and start it'];

describe('chaos', function () {
  this.timeout(240_000);

  it('in its short form: whatever happens, the checker finds nothing', async () => {
    const { happened, violations, cycles } = await runChaos({ seed: 11, until: { faults: 4 }, among: quick });
    assert.ok(cycles > 0);
    assert.deepEqual(violations, [], happened.join('\n'));
  });

  for (const { seed, minutes, found } of readRegressions())
    it(`seed ${seed} for ${minutes} minutes, which once found: ${found}`, async function () {
      this.timeout(minutes * 60_000 + 300_000);
      const { happened, violations } = await runChaos({ seed, until: { ms: minutes * 60_000 } });
      assert.deepEqual(violations, [], happened.join('\n'));
    });
});
